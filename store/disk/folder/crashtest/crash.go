package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Engine is one engine with a script and a memory of what was acknowledged.
type Engine interface {
	// Play opens the engine on fs, runs the script, calls played and closes the
	// engine. stop is the engine's Config.Stop. It returns the first error.
	Play(fs vfs.FS, stop func(error), played func()) error
	// Acknowledged is what the script has been promised so far.
	Acknowledged() any
	// Check opens the engine on fs, reads all that is there, and closes it. An
	// error of the engine is returned as it is. One that wraps ErrWrong says
	// that something acknowledged is not there, or something is there that the
	// script never wrote.
	Check(fs vfs.FS, acknowledged any, stop func(error)) error
}

// ErrWrong is wrapped where an engine returned wrong data without an error.
var ErrWrong = errors.New("wrong data")

func Wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrWrong, fmt.Sprintf(format, args...))
}

func unexpected(err error) { panic(fmt.Sprintf("the engine stopped the process: %v", err)) }

// PowerLoss cuts the power at every write of the script (every third of them
// with -short), keeping none, half or all of what was not synced, and checks
// what the next start finds; every fourth time the power fails again during
// that start.
func PowerLoss(t *testing.T, open func() Engine) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	every := 1
	if testing.Short() {
		every = 3
	}
	engine, disk := open(), vfs.NewCrashableMem()
	var mu sync.Mutex
	var writes, checked int
	failed := false
	err := engine.Play(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if writes++; writes%every != 0 || failed {
			return nil
		}
		checked++
		acknowledged := engine.Acknowledged()
		clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[checked%3], RNG: r})
		if checked%4 == 0 {
			clone = again(t, engine, clone, acknowledged, r)
		}
		if err := engine.Check(clone, acknowledged, unexpected); err != nil {
			failed = true
			t.Errorf("power lost before write %d (%v of %s): %v\n%s", writes, op.Kind, op.Path, err, clone)
		}
		return nil
	})), unexpected, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Check(disk, engine.Acknowledged(), unexpected); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes, %d power losses", writes, checked)
}

// again loses power at a drawn moment of the start after a power loss, and
// returns what is then left.
func again(t *testing.T, engine Engine, disk *vfs.MemFS, acknowledged any, r *rand.Rand) *vfs.MemFS {
	at := int64(r.IntN(60))
	var ops atomic.Int64
	var left *vfs.MemFS
	err := engine.Check(errorfs.Wrap(disk, errorfs.InjectorFunc(func(errorfs.Op) error {
		if ops.Add(1) == at {
			left = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: r})
		}
		return nil
	})), acknowledged, unexpected)
	if err != nil {
		t.Errorf("first start after a power loss: %v", err)
	}
	if left == nil {
		return disk
	}
	return left
}

// Failures lets the n-th operation of the script fail, once, for every n (every
// seventh with -short), with ENOSPC and with EIO. The engine may return an
// error, stop the process, or carry on; after a restart nothing acknowledged may
// be lost.
func Failures(t *testing.T, open func() Engine) {
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		fail(t, fault, func() (Engine, *vfs.MemFS) { return open(), vfs.NewCrashableMem() },
			func(e Engine, fs vfs.FS, stop func(error)) error { return e.Play(fs, stop, func() {}) })
	}
}

// FailingStart is Failures during the start after a kill. The script must be
// too short for a compaction to begin: Pebble panics in one that is under way
// when its Open returns an error, which here would end the test.
func FailingStart(t *testing.T, open func() Engine) {
	engine := open()
	left := played(t, engine)
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		fail(t, fault, func() (Engine, *vfs.MemFS) { return engine, copyOf(left) },
			func(e Engine, fs vfs.FS, stop func(error)) error { return e.Check(fs, e.Acknowledged(), stop) })
	}
}

func fail(t *testing.T, fault error, begin func() (Engine, *vfs.MemFS), run func(Engine, vfs.FS, func(error)) error) {
	every := int64(1)
	if testing.Short() {
		every = 7
	}
	var stopped, refused, survived int
	for n := int64(1); ; n += every {
		engine, disk := begin()
		var ops atomic.Int64
		var where atomic.Value
		var killed atomic.Bool
		faulty := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if killed.Load() {
				select {} // a dead process changes nothing
			}
			if ops.Add(1) != n {
				return nil
			}
			where.Store(fmt.Sprintf("%v of %s", op.Kind, op.Path))
			return fault
		}))
		dead, done := make(chan error, 8), make(chan error, 1)
		go func() {
			done <- run(engine, faulty, func(err error) { killed.Store(true); dead <- err; select {} })
		}()
		left := disk
		var acknowledged any
		select {
		case <-dead:
			stopped++
			acknowledged = engine.Acknowledged() // before the clone: one more append may be under way
			left = disk.CrashClone(vfs.CrashCloneCfg{})
		case err := <-done:
			switch {
			case errors.Is(err, ErrWrong):
				t.Fatalf("operation %d (%v) failed with %v: %v", n, where.Load(), fault, err)
			case err != nil:
				refused++
				left = disk.CrashClone(vfs.CrashCloneCfg{})
			default:
				survived++
			}
		}
		if acknowledged == nil {
			acknowledged = engine.Acknowledged()
		}
		if err := engine.Check(left, acknowledged, unexpected); err != nil {
			t.Fatalf("after operation %d (%v) failed with %v: %v", n, where.Load(), fault, err)
		}
		if ops.Load() < n {
			break // there are fewer operations
		}
	}
	t.Logf("%v: the process was stopped %d times, an error was returned %d times, nothing was seen %d times", fault, stopped, refused, survived)
	if stopped == 0 || refused == 0 || survived == 0 {
		t.Error("want some of each")
	}
}
