package providertest

import (
	"context"
	"net/http"
	"time"

	"github.com/tocsin-push/tocsin/provider"
)

func (b *bench) results() {
	b.server.Answer(func(w http.ResponseWriter, r Request) {
		if b.Number(b, r)%10 == 3 {
			b.Gone(w, r)
			return
		}
		b.Accept(w, r)
	})
	var flights []*flight
	for k := range 4 {
		flights = append(flights, b.send(k*100, k*100+100))
	}
	flights = append(flights, b.send(400, 400))
	for k, f := range flights[:4] {
		b.expect(f.wait(), map[provider.Result]int{provider.Accepted: 90, provider.Gone: 10})
		for i, r := range f.Results {
			if (r == provider.Gone) != ((k*100+i)%10 == 3) {
				b.Errorf("push %d: %v", k*100+i, r)
			}
		}
	}
	b.expect(flights[4].wait(), map[provider.Result]int{})
	if n := b.lane.Capacity(); n < 1 {
		b.Errorf("Capacity is %d", n)
	}
	seen := map[int]bool{}
	for _, r := range b.server.Requests() {
		n := b.Number(b, r)
		if seen[n] {
			b.Errorf("push %d arrived twice", n)
		}
		seen[n] = true
	}
	if len(seen) != 400 {
		b.Errorf("%d pushes arrived, want 400", len(seen))
	}
}

func (b *bench) order() {
	b.server.Hold(true)
	var flights []*flight
	for k := range 5 {
		flights = append(flights, b.send(k, k+1))
	}
	b.server.Hold(false)
	var last time.Time
	for k, f := range flights {
		f.wait()
		if at := f.Wrote[0].At; at.Before(last) {
			b.Errorf("batch %d was written before the one ahead of it", k)
		} else {
			last = at
		}
	}
}

func (b *bench) stop() {
	f := b.send(0, 1)
	f.wait() // the connection is trusted
	b.server.Hold(true)
	const n = 20_000 // more than the streams
	f = b.send(0, n)
	b.server.Await(100)
	f.Stop.Store(true)
	behind := b.send(0, 10)
	behind.Stop.Store(true)
	b.server.Hold(false)
	counts := f.wait()
	if counts[provider.Unsent] == 0 || counts[provider.Accepted] < 99 || counts[provider.Unsent]+counts[provider.Accepted] != n {
		b.Errorf("results %v: want some accepted, the rest unsent", counts)
	}
	counts = behind.wait()
	if counts[provider.Unsent]+counts[provider.Accepted] != 10 {
		b.Errorf("results %v of the batch behind", counts)
	}
}

func (b *bench) close() {
	b.send(0, 1).wait()
	b.server.Hold(true)
	f := b.send(0, 20_000)
	b.server.Await(100)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.lane.Close(ctx); err != nil {
		b.Error(err)
	}
	select {
	case <-f.came:
	default:
		b.Fatal("Close returned before Done")
	}
	counts := f.wait()
	if counts[provider.Lost] < 99 || counts[provider.Unsent] == 0 || counts[provider.Lost]+counts[provider.Unsent] != 20_000 {
		b.Errorf("results %v: want what was written lost and the rest unsent", counts)
	}
}

func (b *bench) closeWaits() {
	b.send(0, 1).wait()
	b.server.Forget()
	b.server.Hold(true)
	f := b.send(0, 50)
	b.server.Await(50)
	closed := make(chan error)
	go func() { closed <- b.lane.Close(context.Background()) }()
	b.server.Hold(false)
	if err := <-closed; err != nil {
		b.Error(err)
	}
	b.expect(f.wait(), map[provider.Result]int{provider.Accepted: 50})
}

func (b *bench) closed() {
	if err := b.lane.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.expect(b.send(0, 7).wait(), map[provider.Result]int{provider.Unsent: 7})
	if err := b.lane.Warm(context.Background()); err == nil {
		b.Error("Warm of a closed lane succeeds")
	}
	if n := len(b.server.Requests()); n != 0 {
		b.Errorf("%d requests of a closed lane", n)
	}
}

func (b *bench) lost() {
	b.send(0, 1).wait()
	b.server.Forget()
	b.server.Hold(true)
	f := b.send(0, 50)
	b.server.Await(50)
	b.server.Cut()
	b.expect(f.wait(), map[provider.Result]int{provider.Lost: 50})
	b.server.Hold(false)
	// The lane goes on with another connection.
	b.expect(b.send(50, 60).wait(), map[provider.Result]int{provider.Accepted: 10})
}

func (b *bench) away() {
	b.server.server.Close()
	f := b.send(0, 10)
	counts := f.wait()
	if counts[provider.Later]+counts[provider.Unsent] != 10 {
		b.Errorf("results %v: want later or unsent", counts)
	}
	if err := b.lane.Warm(context.Background()); err == nil {
		b.Error("Warm succeeds without a service")
	}
}

func (b *bench) fault() {
	b.send(0, 1).wait()
	b.server.Forget()
	b.server.Answer(b.Fault)
	b.server.Hold(true)
	f := b.send(0, 20_000)
	behind := b.send(0, 100)
	b.server.Await(100)
	b.server.Hold(false)
	counts := f.wait()
	// The first few may be laid on the pushes themselves, and come later.
	answered := counts[provider.Fault] + counts[provider.Later]
	if counts[provider.Fault] == 0 || counts[provider.Later] > 50 || answered < 100 || counts[provider.Unsent] == 0 || answered+counts[provider.Unsent] != 20_000 {
		b.Errorf("results %v: want a fault for what was in flight, the rest unsent", counts)
	}
	// Another connection may have begun with it meanwhile.
	counts = behind.wait()
	if answered := counts[provider.Fault] + counts[provider.Later]; answered+counts[provider.Unsent] != 100 {
		b.Errorf("results %v of the batch behind: want a fault for what was in flight, the rest unsent", counts)
	}
	// Once the credential is good again, a probe goes through.
	b.server.Answer(b.Accept)
	b.expect(b.send(0, 1).wait(), map[provider.Result]int{provider.Accepted: 1})
}

func (b *bench) warm() {
	if err := b.lane.Warm(context.Background()); err != nil {
		b.Fatal(err)
	}
	if n := len(b.server.Requests()); n != 0 {
		b.Errorf("Warm sent %d requests", n)
	}
	if n := b.lane.Capacity(); n < 1 {
		b.Errorf("Capacity is %d", n)
	}
	b.expect(b.send(0, 5).wait(), map[provider.Result]int{provider.Accepted: 5})
}
