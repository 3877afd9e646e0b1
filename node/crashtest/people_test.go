package crashtest_test

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/sim"
)

// shares are the faults of the providers in all runs. They lose answers, and
// have a few of every other kind.
var shares = sim.Shares{Gone: 0.01, Lost: 0.0002, Reset: 0.001, Refused: 0.002, Unavailable: 0.0002}

// person is one subscription, with what the simulators know it by.
type person struct {
	id       tocsin.SubscriptionID
	provider tocsin.Provider
	token    string
	crowd    string
	part     string
}

// crowd is the audience of a run. Nobody's address is dead, but for the
// doomed, who register again before each send, and lose their address by it.
type crowd struct {
	seed    uint64
	people  []person // of crowd "main"
	doomed  []person // of crowd "main" too
	guests  []person // registered anew by an import in each round; no send is for them
	movers  []person // each logs in as somebody else in each round, most of them on another shard; of crowd "movers"
	byToken map[uint64]person
}

const (
	doomedPeople = 20
	guestPeople  = 500
	movingPeople = 40
)

func newCrowd(seed uint64, size int) *crowd {
	c := &crowd{seed: seed, byToken: map[uint64]person{}}
	population := sim.Population{Seed: seed, Mix: sim.Mix{APNs: 0.98, FCM: 0.02}, Now: time.Unix(1_780_000_000, 0)}
	for i := 0; len(c.people) < size || len(c.doomed) < doomedPeople || len(c.guests) < guestPeople || len(c.movers) < movingPeople; i++ {
		m := population.At(i)
		var entropy [10]byte
		binary.BigEndian.PutUint64(entropy[2:], uint64(i)|seed<<32)
		p := person{id: tocsin.MakeID[tocsin.SubscriptionID](population.Now, entropy), provider: m.Provider, token: m.Token, crowd: "main", part: "rest"}
		switch gone := shares.Draw(seed, sim.Hash(m.Token)) == sim.Gone; {
		case gone && len(c.doomed) < doomedPeople:
			c.doomed = append(c.doomed, p)
			c.byToken[sim.Hash(p.token)] = p
		case gone:
		case len(c.people) < size:
			switch n := len(c.people); {
			case n%100 == 0:
				p.part = "hundredth"
			case n%10 == 1:
				p.part = "tenth"
			}
			c.people = append(c.people, p)
			c.byToken[sim.Hash(p.token)] = p
		case len(c.guests) < guestPeople:
			p.crowd = "guests"
			c.guests = append(c.guests, p)
		case len(c.movers) < movingPeople:
			p.crowd, p.part = "movers", "movers"
			c.movers = append(c.movers, p)
			c.byToken[sim.Hash(p.token)] = p
		}
	}
	return c
}

// lines are people as an import reads them.
func lines(people []person) string {
	var b strings.Builder
	for _, p := range people {
		fmt.Fprintf(&b, `{"id":%q,"provider":%q,"token":%q,"attributes":{"crowd":%q,"part":%q}}`+"\n", p.id, p.provider, p.token, p.crowd, p.part)
	}
	return b.String()
}

func batch(people []person) (b client.Batch) {
	for _, p := range people {
		b.Subscriptions = append(b.Subscriptions, client.Subscription{ID: p.id, Provider: p.provider, Token: p.token,
			Attributes: map[string]client.Value{"crowd": client.TextValue(p.crowd), "part": client.TextValue(p.part)}})
	}
	return b
}

// size is how many of the people are in a part.
func (c *crowd) size(part string) (n int64) {
	for _, p := range c.people {
		if part == "" || p.part == part {
			n++
		}
	}
	return n
}

func key(seed uint64, round int, name string) string {
	return "crash-" + strconv.FormatUint(seed, 10) + "-" + strconv.Itoa(round) + "-" + name
}
