package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// Restart is a node killed and started again. Times are seconds since the start.
type Restart struct {
	Listening float64 `json:"listening"`
	Ready     float64 `json:"ready"` // /readyz says so
	Sent      float64 `json:"sent"`  // a push was accepted to somebody who registered right before the kill
	Resident  uint64  `json:"resident"`
}

// restart kills the node with SIGKILL, right after a registration was
// acknowledged, starts it again, and holds what it knows against what it knew.
func (n *crowdRoom) restart(ctx context.Context, l *lab) (*Restart, error) {
	questions := []string{`{}`, `{"event":{"name":"read"}}`, `{"opted_in":true,"premium":true}`}
	counts := func() (all []int64, err error) {
		for _, q := range questions {
			c, err := n.api.Count(ctx, client.Target{Query: []byte(q)})
			if err != nil {
				return nil, err
			}
			all = append(all, c.Matched, c.Count)
		}
		return all, nil
	}
	last := client.Subscription{User: "the last one", Provider: tocsin.APNs, Token: fmt.Sprintf("%064x", time.Now().UnixNano())}
	if _, err := n.api.PutSubscription(ctx, last); err != nil {
		return nil, err
	}
	before, err := counts()
	if err != nil {
		return nil, err
	}
	t := n.town
	if err := t.cmd.Process.Kill(); err != nil {
		return nil, err
	}
	<-t.exited
	l.forget(t.child)
	begin, r := time.Now(), &Restart{}
	var up nodeReady
	if t.child, err = startPart(ctx, t.dir, partNode, []string{filepath.Join(t.dir, "data")}, &up); err != nil {
		return nil, err
	}
	l.children = append(l.children, t.child)
	r.Listening = time.Since(begin).Seconds()
	if err := t.enter(up); err != nil {
		return nil, err
	}
	for ready := false; !ready; {
		answer, err := http.Get(t.url + "/readyz")
		if err != nil {
			return nil, err
		}
		answer.Body.Close()
		if ready = answer.StatusCode == http.StatusOK; !ready {
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
	r.Ready = time.Since(begin).Seconds()
	if err := n.connect(); err != nil {
		return nil, err
	}
	sent, err := n.finish(ctx, client.SendRequest{Class: tocsin.Urgent, Target: client.Target{Recipients: []client.Recipient{{User: last.User}}}, Message: news})
	if err != nil {
		return nil, err
	}
	r.Sent = time.Since(begin).Seconds()
	if err := balanced(sent, 1); err != nil {
		return nil, err
	}
	after, err := counts()
	if err != nil {
		return nil, err
	}
	if !slices.Equal(before, after) {
		return nil, fmt.Errorf("counts of %v were %v before the kill and are %v", questions, before, after)
	}
	if r.Resident, err = residentMemory(t.pid); err != nil {
		return nil, err
	}
	progress("  killed and started: listening after %.1f s, ready after %.1f s", r.Listening, r.Ready)
	return r, nil
}
