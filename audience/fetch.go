package audience

import (
	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// together is how many changes have their places in the tables fetched at once. Of
// a large table most are far from the processor: to wait for one after the other
// takes longer than all else that an import asks of a shard.
const together = 64

// hashes are those under which some subscriptions, their addresses and their people
// stand in the tables of a project.
type hashes struct {
	ids, addresses, keys [together]uint64
	n                    int // of ids and addresses
	people               int
}

// fetch brings near what applying changes looks at first.
func (p *project) fetch(changes []*record.Change) {
	var h hashes
	for _, c := range changes {
		if u := c.GetUpsert(); u != nil {
			h.add(p, tocsin.SubscriptionID(u.Subscription), tocsin.Provider(u.Provider), u.Address)
			h.keys[h.people] = p.hashKey([]byte(u.Profile))
			h.people++
		}
	}
	h.fetch(p)
}

func (h *hashes) add(p *project, id tocsin.SubscriptionID, provider tocsin.Provider, address []byte) {
	h.ids[h.n], h.addresses[h.n] = p.hashID(&id), p.hashAddress(provider, identity(provider, address))
	h.n++
}

func (h *hashes) fetch(p *project) {
	p.byID.Fetch(h.ids[:h.n])
	p.byAddress.Fetch(h.addresses[:h.n])
	p.people.byKey.Fetch(h.keys[:h.people])
}
