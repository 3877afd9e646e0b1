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
	"the window is forgotten":        {[]edit{{"fanout/claim.go", "if m.held+t.n > m.config.Window {", "if m.held < 0 {"}}, `because of a take, at most`},
	"a take marks nobody":            {[]edit{{"ledger/push.go", "\tp |= 16\n\tif skip {", "\tif skip {"}}, `L3: accepted (twice|\d+ times)`},
	"a take forgets that skip skips": {[]edit{{"ledger/fold.go", "skip := c.Send.OnDoubt == tocsin.Skip || c.Send.Cancelled", "skip := c.Send.Cancelled"}}, `which skip forbids`},
	"acknowledged before the append": {[]edit{{"api/accept_shell.go", "err = s.sends[home].append(ctx, envelope, s.Now(), who)",
		"now := s.Now()\n\t\t\t\ttime.AfterFunc(500*time.Millisecond, func() { s.sends[home].enqueue(ctx, envelope, now, who) })"}},
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
	for name, b := range bugOf { // in one lane: a node that has the machine has most in flight
		command := exec.Command(program, "-test.run", "TestRandomKills", "-test.v", "-bug", name, "-kills", "24", "-lanes", "1",
			"-people", strconv.Itoa(*people), "-seed", strconv.FormatUint(*seed, 10))
		command.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // what it keeps is of no use
		out, err := command.CombinedOutput()
		switch found := regexp.MustCompile(b.finds).Find(out); {
		case err == nil:
			t.Errorf("%s: not found in 24 kills:\n%s", name, out)
		case found == nil:
			t.Errorf("%s: found, but nothing says %s:\n%s", name, b.finds, out)
		default:
			t.Logf("%s: found: %s", name, found)
		}
	}
}
