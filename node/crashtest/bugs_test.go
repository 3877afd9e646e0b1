package crashtest_test

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

var (
	bug  = flag.String("bug", "", "build this deliberate bug into the node, to see the judge find it")
	bugs = flag.Bool("bugs", false, "check that the judge finds every deliberate bug")
)

// bugOf are faults in the product that a kill must bring to light, and what
// the judge then says.
var bugOf = map[string]struct {
	edits []edit
	finds string
}{
	"bytes before the claim is read back": {[]edit{
		{"fanout/claim.go", "\t\tm.hold(t, m.putClaim(t.feed.job, t.todo))\n", `		j := t.feed.job
		m.hold(t, m.putClaim(j, t.todo))
		m.underway[t.ref] = t
		m.emit(Deliver{
			Claim: t.ref, Send: j.send, Slice: j.position, Content: j.content, Route: t.feed.route,
			Page: t.page, Span: t.Span, Attempt: t.attempt, Last: j.send.Page(t.page).Push(t.From).Last(j.send.Attempts),
		})
`},
		{"fanout/claim.go", "\tm.underway[t.ref] = t\n\tm.emit(Deliver{\n\t\tClaim: t.ref, Send: j.send, Slice: j.position, Content: j.content, Route: t.feed.route,\n" +
			"\t\tPage: t.page, Span: t.Span, Attempt: t.attempt, Last: j.send.Page(t.page).Push(t.From).Last(j.send.Attempts),\n\t})\n", ""},
	}, `L3: (accepted|received) \d+ times`},
	"a take marks nobody":            {[]edit{{"ledger/push.go", "\tp |= 16\n\tif skip {", "\tif skip {"}}, `L3: accepted (twice|\d+ times)`},
	"a take forgets that skip skips": {[]edit{{"ledger/push.go", "\tp |= 16\n\tif skip {", "\tp |= 16\n\tif false {"}}, `which skip forbids`},
	"acknowledged before the append": {[]edit{{"api/accepting.go", "err := s.sends[home].append(ctx, envelope, s.Now(), who)",
		"now := s.Now()\n\t\t\ttime.AfterFunc(500*time.Millisecond, func() { s.sends[home].enqueue(ctx, envelope, now, who) })\n\t\t\tvar err error"}},
		`L2: acknowledged`},
}

// TestJudgeFindsBugs runs TestRandomKills on nodes with a bug: it must fail,
// for the right reason.
func TestJudgeFindsBugs(t *testing.T) {
	if !*bugs {
		t.Log("only with -bugs")
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range bugOf {
		out, err := exec.Command(program, "-test.run", "TestRandomKills", "-test.v", "-bug", name, "-kills", "16",
			"-people", strconv.Itoa(*people), "-seed", strconv.FormatUint(*seed, 10)).CombinedOutput()
		switch found := regexp.MustCompile(b.finds).Find(out); {
		case err == nil:
			t.Errorf("%s: not found in 16 kills:\n%s", name, out)
		case found == nil:
			t.Errorf("%s: found, but nothing says %s:\n%s", name, b.finds, out)
		default:
			t.Logf("%s: found: %s", name, found)
		}
	}
}
