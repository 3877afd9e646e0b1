package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// Asked is one question, asked several times with other constants each time:
// milliseconds of each answer.
type Asked struct {
	Name  string              `json:"name"`
	Ours  []float64           `json:"ours"`
	Peers [dialects][]float64 `json:"peers"`
	Share float64             `json:"share"` // of all people, the last time
}

const (
	askRounds  = 3
	fiveRounds = 10
	slowAnswer = time.Second // a peer that took longer is not asked again: its first answer counts
)

// ask puts a question to the node and to every database, and holds their
// counts against each other. The first answers warm them and do not count.
func (n *crowdRoom) ask(ctx context.Context, a *asker, q question, rounds int, peers []*database) (*Asked, error) {
	asked := &Asked{Name: q.name}
	for round := range rounds + 1 {
		c := q.draw(a)
		begin := time.Now()
		got, err := n.api.Count(ctx, client.Target{Query: []byte(c.json)})
		taken := time.Since(begin)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.json, err)
		}
		if round > 0 {
			asked.Ours = append(asked.Ours, milliseconds(taken))
		}
		asked.Share = float64(got.Matched) / float64(n.crowd.size)
		for _, b := range peers {
			times := &asked.Peers[b.dialect]
			slow := len(*times) > 0 && (*times)[0] > milliseconds(slowAnswer)
			if c.sql == nil || slow {
				continue
			}
			begin := time.Now()
			theirs, err := b.count(ctx, c)
			if err != nil {
				return nil, err
			}
			if theirs != got.Matched {
				return nil, fmt.Errorf("%s: %d people here, %d in %s: %s", c.json, got.Matched, theirs, dialectNames[b.dialect], c.sql(b.dialect))
			}
			if taken := time.Since(begin); round > 0 || taken > slowAnswer {
				*times = append(*times, milliseconds(taken))
			}
		}
	}
	return asked, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// openPeers starts the databases that are there and loads them.
func (l *lab) openPeers(ctx context.Context, c *crowd) (peers []*database, err error) {
	if l.peers == "" {
		progress("  no databases beside it: scripts/bench-audience starts them")
		return nil, nil
	}
	begin := time.Now()
	defer removeTables(l.peers)
	if err := c.writeTables(l.peers); err != nil {
		return nil, err
	}
	progress("  tables written in %.0f s", time.Since(begin).Seconds())
	for d := range dialects {
		b, err := openDatabase(l.peers, d)
		if err != nil {
			return peers, err
		}
		peers = append(peers, b)
		if err := b.load(ctx); err != nil {
			return peers, err
		}
		progress("  %s %s loaded and indexed in %.0f s", dialectNames[d], b.version, b.loaded.Seconds())
	}
	return peers, nil
}

// answers asks the five clauses and all fifty questions.
func (n *crowdRoom) answers(ctx context.Context, peers []*database) (five *Asked, fifty []*Asked, err error) {
	a := n.crowd.asker(1)
	if five, err = n.ask(ctx, a, fiveClauses, fiveRounds, peers); err != nil {
		return nil, nil, err
	}
	for _, q := range questions {
		asked, err := n.ask(ctx, a, q, askRounds, peers)
		if err != nil {
			return nil, nil, err
		}
		progress("  %8.2f ms of Tocsin, %s: %s (%.2g of all)", median(asked.Ours), asked.others(), q.name, asked.Share)
		fifty = append(fifty, asked)
	}
	return five, fifty, nil
}

// others are the medians of the databases.
func (a *Asked) others() (text string) {
	for d, times := range a.Peers {
		if len(times) > 0 {
			text += fmt.Sprintf(" %s %s", dialectNames[d], figure(median(times)))
		}
	}
	return text
}

// askedTable tells of all answers, and compares those to the questions that a
// database answers.
func askedTable(r *Crowd, n *crowdRoom, peers []*database) []Table {
	t := Table{Head: []string{"ms", "people", "five clauses", "50 targets: median", "p99", "worst", "the shared ones: median of ratios to Tocsin"}}
	each := Table{Head: []string{"median ms", "share of people", "Tocsin, " + whole(float64(n.crowd.size))}}
	row := func(name string, people int, five *Asked, fifty []*Asked, times func(*Asked) []float64) {
		var every, ratios []float64
		for _, a := range fifty {
			if theirs := times(a); len(theirs) > 0 {
				every = append(every, theirs...)
				ratios = append(ratios, median(theirs)/median(a.Ours))
			}
		}
		slices.Sort(every)
		t.add(name, whole(float64(people)), ranged(times(five)), figure(median(every)), figure(percentile(every, 0.99)), figure(every[len(every)-1]), figure(median(ratios)))
	}
	ours := func(a *Asked) []float64 { return a.Ours }
	row("Tocsin, over HTTP", n.crowd.size, r.Five, r.Fifty, ours)
	for _, a := range r.Fifty {
		each.add(a.Name, fmt.Sprintf("%.3g %%", 100*a.Share), figure(median(a.Ours)))
	}
	if p := r.Peered; p != nil {
		columns := []func(*Asked) []float64{ours}
		row("Tocsin, over HTTP", p.People, p.Five, p.Fifty, ours)
		each.Head = append(each.Head, "Tocsin, "+whole(float64(p.People)))
		for _, b := range peers {
			theirs := func(a *Asked) []float64 { return a.Peers[b.dialect] }
			row(dialectNames[b.dialect]+" "+b.version, p.People, p.Five, p.Fifty, theirs)
			columns, each.Head = append(columns, theirs), append(each.Head, dialectNames[b.dialect])
		}
		for i, a := range p.Fifty {
			for _, times := range columns {
				cell := ""
				if some := times(a); len(some) > 0 {
					cell = figure(median(some))
				}
				each.Rows[i] = append(each.Rows[i], cell)
			}
		}
	}
	return []Table{t, each}
}

func closePeers(peers []*database) (err error) {
	for _, b := range peers {
		err = errors.Join(err, b.close())
	}
	return err
}
