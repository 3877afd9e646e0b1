package account

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/store/mem"
)

// A process hears within Fresh of a credential that another one replaced, once for
// each version and not of one that was announced and never set.
func TestHearsOfCredentialsThatAnotherProcessSets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	synctest.Test(t, func(t *testing.T) {
		st := mem.New(time.Now)
		here, there := open(t, st, file), open(t, st, file)
		var heard []provider.Credential
		here.OnReplace(func(c provider.Credential) { heard = append(heard, c) })
		p, _ := project(t, here)
		if own := set(t, here, p.ID, apns("one")); len(heard) != 1 || heard[0].Version != own.Version {
			t.Fatalf("heard %d times of what was set here", len(heard))
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- here.Watch(ctx, slog.New(slog.DiscardHandler)) }()
		for version := uint64(2); version < 4; version++ {
			other := set(t, there, p.ID, apns("other"))
			time.Sleep(Fresh)
			synctest.Wait()
			if n := len(heard); n != int(version) || heard[n-1].Version != version || heard[n-1].ID != other.ID {
				t.Fatalf("heard %d times, and should have of version %d", n, version)
			}
		}
		lost := heard[2]
		lost.Version++
		if err := there.announce(ctx, lost); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * Fresh)
		synctest.Wait()
		if len(heard) != 3 {
			t.Errorf("heard %d times, of one that was never set", len(heard))
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
