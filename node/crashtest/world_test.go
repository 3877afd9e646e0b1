package crashtest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

const shards = 8 // of an embedded installation

// inLanes runs a part of the kills in each lane.
func inLanes(t *testing.T, kills func(t *testing.T, lane int)) {
	for lane := range *lanes {
		t.Run(fmt.Sprintf("lane %d", lane+1), func(t *testing.T) {
			t.Parallel()
			kills(t, lane)
		})
	}
}

// restartLimit is how soon a node must be ready after a kill.
const restartLimit = 3 * time.Second

// world is a data folder, the node on it, and the providers.
type world struct {
	*testing.T
	program   string
	folder    string
	seed      uint64
	crowd     *crowd
	providers *providers
	node      *victim
	window    int // 0: the product's default
	admin     *client.Client
	api       *client.Client // acts for the project; requests are not repeated
	project   tocsin.ProjectID
	rounds    int
	deaths    int           // of nodes in this round
	slowest   time.Duration // start after a kill in this round
	spans     map[int]time.Duration
}

// newWorld makes an empty folder; the node on it may be told to die.
func newWorld(t *testing.T, program string, seed uint64, people int) *world {
	t.Helper()
	folder, err := os.MkdirTemp("", "tocsin-crash-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, program: program, folder: folder, seed: seed, crowd: newCrowd(seed, people), spans: map[int]time.Duration{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept: %s (data, node.log, sim.log)", folder)
			return
		}
		os.RemoveAll(folder)
	})
	w.providers = startProviders(t, program, folder, seed)
	w.providers.command(t, "/faults", map[string]any{"apns": map[string]any{"shares": shares, "retry_after": 0},
		"fcm": map[string]any{"shares": shares, "retry_after": 0}})
	return w
}

// end ends the processes of a world, if there is one.
func (w *world) end() {
	if w != nil {
		w.node.kill()
		w.providers.kill()
	}
}

// start starts a node; at a failpoint that it dies at, another one.
func (w *world) start(point string, pass int) {
	w.Helper()
	for {
		v, err := startNode(w.T, w.program, w.folder, settings{Window: w.window, Point: point, Pass: pass})
		if err != nil && v.died() && point != "" {
			w.deaths++
			point, pass = "", 0
			continue
		}
		if err != nil {
			w.Fatalf("the node does not start: %v\n%s", err, w.complaints())
		}
		w.node = v
		break
	}
	if w.deaths > 0 {
		w.slowest = max(w.slowest, w.node.ready)
	}
	var err error
	if w.admin, err = client.New(client.Config{URL: w.node.url, Key: w.node.admin, Retries: -1}); err != nil {
		w.Fatal(err)
	}
	if w.api, err = client.New(client.Config{URL: w.node.url, Key: w.node.admin, Project: w.project, Retries: -1}); err != nil {
		w.Fatal(err)
	}
}

// died reports whether the process was killed.
func (v *victim) died() bool {
	select {
	case <-v.ended:
		return v.err != nil && strings.Contains(v.err.Error(), "killed")
	default:
		return false
	}
}

// complaints is the end of the node's log.
func (w *world) complaints() string {
	text, err := os.ReadFile(filepath.Join(w.folder, "node.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// survive repeats a step until it is done, over as many nodes as it takes. A
// node that ends by itself is a failure.
func (w *world) survive(what string, step func() error) {
	w.Helper()
	for try := 0; ; try++ {
		err := step()
		if err == nil {
			return
		}
		select {
		case <-w.node.ended:
		case <-time.After(200 * time.Millisecond):
			if try < 100 {
				continue
			}
		}
		if !w.node.died() || try >= 100 {
			w.Fatalf("%s: %v; node: %v\n%s", what, err, w.node.err, w.complaints())
		}
		w.deaths++
		w.start("", 0)
	}
}

// setUp makes the project and imports its audience, whatever dies meanwhile.
func (w *world) setUp() {
	w.Helper()
	ctx := context.Background()
	w.survive("project", func() error {
		request := w.providers.setup.Projects[0]
		request.Credentials = request.Credentials[:2] // APNs and FCM
		have, err := w.admin.Projects(ctx, tocsin.ProjectID{}, 10)
		if err != nil {
			return err
		}
		if len(have.Projects) > 1 {
			w.Fatalf("%d projects of one request each", len(have.Projects))
		}
		if len(have.Projects) == 1 {
			w.project = have.Projects[0].ID
		} else {
			made, err := w.admin.CreateProject(ctx, request)
			if err != nil {
				return err
			}
			w.project = made.ID
		}
		known, err := w.admin.Credentials(ctx, w.project)
		if err != nil {
			return err
		}
		if len(known.Credentials) == len(request.Credentials) {
			return nil
		}
		for _, c := range request.Credentials {
			if _, err := w.admin.SetCredential(ctx, w.project, c); err != nil {
				return err
			}
		}
		return nil
	})
	w.api, _ = client.New(client.Config{URL: w.node.url, Key: w.node.admin, Project: w.project, Retries: -1})
	w.load(ctx, "people", slices.Concat(w.crowd.people, w.crowd.movers))
	w.beside(ctx)
}

// beside does once what leaves the people as they are: a list, an attribute that
// none of them has, a segment, and somebody who is erased.
func (w *world) beside(ctx context.Context) {
	w.Helper()
	one := w.crowd.people[0].id
	w.survive("list", func() error {
		if have, err := w.api.List(ctx, "few"); err == nil && have.Entries == 1 {
			return nil
		}
		open, err := w.api.OpenList(ctx, "few", client.ListReplace, client.ImportRequest{Format: client.NDJSON}, true)
		if err == nil {
			var done client.Import
			if done, err = w.api.Upload(ctx, open, strings.NewReader(fmt.Sprintf("{\"id\":%q}\n", one)), nil); err == nil && done.Imported != 1 {
				w.Fatalf("list: %+v", done)
			}
		}
		return err
	})
	w.survive("another attribute", func() error {
		return w.api.UpdateProfile(ctx, "nobody", client.ProfileUpdate{Attributes: map[string]client.Value{"seen": client.BooleanValue(true)}})
	})
	w.survive("segment", func() error {
		_, err := w.api.PutSegment(ctx, "few", []byte(`{"list":"few"}`))
		return err
	})
	w.survive("a count of the segment", func() error {
		have, err := w.api.Count(ctx, client.Target{Query: []byte(`{"segment":"few"}`)})
		if err == nil && have.Matched != 1 {
			w.Fatalf("the segment has %d people", have.Matched)
		}
		return err
	})
	w.survive("erasure", func() error {
		e, err := w.api.Erase(ctx, client.ErasureRequest{User: "somebody who was never here", Now: true})
		for err == nil && e.Status != client.ErasureDone {
			<-time.After(100 * time.Millisecond)
			e, err = w.api.GetErasure(ctx, e.ID)
		}
		return err
	})
}

// load imports people, and goes on with an import that a kill broke.
func (w *world) load(ctx context.Context, name string, people []person) {
	w.Helper()
	w.survive("import of "+name, func() error {
		done, err := w.imported(ctx, name, people)
		if err == nil && done.Imported != int64(len(people)) {
			w.Fatalf("import of %s: %d of %d, bad %v", name, done.Imported, len(people), done.BadLines)
		}
		return err
	})
}

// imported opens an import by its name, or goes on with the one of that name.
func (w *world) imported(ctx context.Context, name string, people []person) (client.Import, error) {
	known, err := w.api.Imports(ctx, tocsin.ImportID{}, 20)
	if err != nil {
		return client.Import{}, err
	}
	for _, i := range known.Imports {
		if i.Name != name {
			continue
		}
		if i, err = w.api.GetImport(ctx, i.ID); err != nil || i.Status == client.ImportFinished {
			return i, err
		}
		return w.api.Upload(ctx, i, strings.NewReader(lines(people)), nil)
	}
	open, err := w.api.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON, Name: name})
	if err != nil {
		return open, err
	}
	return w.api.Upload(ctx, open, strings.NewReader(lines(people)), nil)
}

// random is a source of its own for every case, so that one can be repeated.
func random(seed uint64, number int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(number))) }

// windowOf is 512 pushes a shard in three kills of four, else the default.
func windowOf(number int) int {
	if number%4 == 3 {
		return 0
	}
	return 512
}

func windowName(window int) string {
	if window == 0 {
		return "default"
	}
	return fmt.Sprint(window)
}
