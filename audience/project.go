package audience

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// Names of the native fields, as package target reserves them.
const (
	fieldProvider   = "provider"
	fieldPlatform   = "platform"
	fieldLanguage   = "language"
	fieldZone       = "zone"
	fieldRegion     = "region"
	fieldCity       = "city"
	fieldAppVersion = "app_version"
	fieldOptedIn    = "opted_in"
)

// fields are the native ones that the index holds.
var fields = [...]string{fieldProvider, fieldPlatform, fieldLanguage, fieldZone, fieldRegion, fieldCity, fieldAppVersion, fieldOptedIn}

// wasAttribute reports whether a native field was an ordinary attribute once.
// What was written then, of any type, of a person too, is its value.
func wasAttribute(name string) bool {
	return name == fieldRegion || name == fieldCity || name == fieldAppVersion
}

// project is one project's part of a shard. Slices are by ordinal: about 50
// bytes a subscription, the address and the index come on top.
type project struct {
	seed      maphash.Seed
	known     *index.Index  // of subscriptions: attributes, tags and native fields
	gathered  index.Batch   // that is to be written to it before the end of a record
	values    []index.Value // room for those of one change
	coming    uint32        // subscription that begins with the change that is applied, its ordinal + 1; 0: none
	live      *roaring.Bitmap
	reachable *roaring.Bitmap // live and opted in
	rows      rows
	addresses index.Arena // one byte n, n bytes of the install secret's hash, the address
	byID      index.Table
	byAddress index.Table // live ones
	routes    []Route
	routeOf   map[Route]uint32
	routeUses []uint32 // live subscriptions on each; one without gives way to a new one
	people    people
	names     names
	lists     lists
	opened    opened
	formers   formers
	done      done
	members   map[target.Member]*index.Rows // of named sets; some may be deleted since
	segments  segments

	moves       moves
	id          tocsin.ProjectID
	environment tocsin.Environment

	at      uint32 // of the record that is applied, in seconds
	noted   uint32 // from when on it is noted what changes, in seconds; 0 with the next record
	version uint64 // rises with each record that is applied
	passing sync.Mutex
	passes  []*pass // under way; readers change it, and hold passing for that
}

// rows are the columns that the index does not hold.
type rows struct {
	ids     index.Cells[tocsin.SubscriptionID]
	version index.Cells[uint64]    // of the address; rises wherever the subscription is
	since   index.Cells[int64]     // when the address was brought, in nanoseconds; orders who has it across shards
	address index.Cells[index.Ref] // 0 when deleted
	vouched index.Cells[uint32]    // when the device last brought this address itself, in seconds; 0 unknown
	created index.Cells[uint32]    // when it registered, in seconds; 0 unknown
	changed index.Cells[uint32]    // when something of it changed last, in seconds; 0 not since it registered
	active  index.Cells[uint32]    // last seen, in seconds
	route   index.Cells[uint32]
	profile index.Cells[uint32] // its number + 1; 0 is anonymous
	next    index.Cells[uint32] // the next subscription of the profile, its ordinal + 1; deleted ones stay in
}

// people are the profiles with a user id; an anonymous one is its subscription.
type people struct {
	known *index.Index // what was set on the profile, for subscriptions to come
	keys  index.Arena
	key   index.Cells[index.Ref]
	first index.Cells[uint32] // ordinal + 1
	byKey index.Table
}

func newProject(id tocsin.ProjectID, shard tocsin.Shard) *project {
	return &project{id: id, moves: newMoves(shard), seed: maphash.MakeSeed(), known: index.New(), live: roaring.New(), reachable: roaring.New(),
		done: newDone(), routeOf: make(map[Route]uint32), people: people{known: index.New()}}
}

func (p *project) hashID(id *tocsin.SubscriptionID) uint64 { return maphash.Bytes(p.seed, id[:]) }

func (p *project) hashOfID(ordinal uint32) uint64 {
	id := p.rows.ids.At(ordinal)
	return p.hashID(&id)
}

// ordinal finds a subscription, live or deleted.
func (p *project) ordinal(id tocsin.SubscriptionID) (uint32, bool) {
	return p.ordinalAt(p.hashID(&id), id)
}

// ordinalAt is ordinal for an identifier whose hash is known.
func (p *project) ordinalAt(hash uint64, id tocsin.SubscriptionID) (uint32, bool) {
	return p.byID.Find(hash, func(o uint32) bool { return p.rows.ids.At(o) == id })
}

// add gives a new subscription its ordinal.
func (p *project) add(id tocsin.SubscriptionID) uint32 {
	r := &p.rows
	ordinal := uint32(r.ids.Len())
	r.ids.Append(id)
	r.version.Append(0)
	r.since.Append(0)
	r.address.Append(0)
	r.vouched.Append(0)
	r.created.Append(0)
	r.active.Append(0)
	r.route.Append(0)
	r.profile.Append(0)
	r.next.Append(0)
	p.byID.Insert(p.hashID(&id), ordinal, p.hashOfID)
	p.singleCame(ordinal, id)
	return ordinal
}

// stored returns an ordinal's address and the hash of its secret; empty when
// it is deleted.
func (p *project) stored(ordinal uint32) (address, secret []byte) {
	b := p.addresses.Get(p.rows.address.At(ordinal))
	if len(b) == 0 {
		return nil, nil
	}
	n := int(b[0])
	if n > 0 {
		secret = b[1 : 1+n]
	}
	return b[1+n:], secret
}

func (p *project) store(ordinal uint32, address, secret []byte) {
	p.addresses.Free(p.rows.address.At(ordinal))
	p.rows.address.Set(ordinal, p.addresses.Add([]byte{byte(len(secret))}, secret, address))
	p.compact()
}

func (p *project) compact() {
	if !p.addresses.Wasteful() {
		return
	}
	var fresh index.Arena
	for o := range uint32(p.rows.address.Len()) {
		if ref := p.rows.address.At(o); ref != 0 {
			p.rows.address.Set(o, fresh.Add(p.addresses.Get(ref)))
		}
	}
	p.addresses = fresh
}

func (p *project) hashAddress(provider tocsin.Provider, identity []byte) uint64 {
	return maphash.Bytes(p.seed, identity) + uint64(provider)
}

func (p *project) hashOfAddress(ordinal uint32) uint64 {
	address, _ := p.stored(ordinal)
	provider := p.routes[p.rows.route.At(ordinal)].Provider
	return p.hashAddress(provider, identity(provider, address))
}

// holder finds the live subscription that has an address.
func (p *project) holder(provider tocsin.Provider, address []byte) (uint32, bool) {
	wanted := identity(provider, address)
	return p.byAddress.Find(p.hashAddress(provider, wanted), func(o uint32) bool { return p.hasAddress(o, provider, address) })
}

// hasAddress reports whether a live subscription is reached at an address.
func (p *project) hasAddress(ordinal uint32, provider tocsin.Provider, address []byte) bool {
	if p.routes[p.rows.route.At(ordinal)].Provider != provider {
		return false
	}
	have, _ := p.stored(ordinal)
	return string(identity(provider, have)) == string(identity(provider, address))
}

// routeFits reports whether a route is in use, or fewer than most are. Hosts of
// Web Push take no room from APNs and FCM.
func (p *project) routeFits(r Route, most int) bool {
	return p.routeInUse(r) || p.routesInUse(r.Provider) < most
}

func (p *project) routeInUse(r Route) bool {
	n, known := p.routeOf[r]
	return known && p.routeUses[n] > 0
}

// routesInUse counts the routes of Web Push, or those of the other providers.
func (p *project) routesInUse(like tocsin.Provider) (n int) {
	for i, r := range p.routes {
		if p.routeUses[i] > 0 && (r.Provider == tocsin.WebPush) == (like == tocsin.WebPush) {
			n++
		}
	}
	return n
}

func (p *project) routeNumber(r Route) uint32 {
	n, ok := p.routeOf[r]
	if !ok {
		r.Host, r.Topic = strings.Clone(r.Host), strings.Clone(r.Topic)
		if free := slices.Index(p.routeUses, 0); free >= 0 {
			delete(p.routeOf, p.routes[free])
			p.routes[free], n = r, uint32(free)
		} else {
			n = uint32(len(p.routes))
			p.routes, p.routeUses = append(p.routes, r), append(p.routeUses, 0)
		}
		p.routeOf[r] = n
	}
	return n
}

// remove deletes a live subscription; ordinal and identifier stay taken.
func (p *project) remove(ordinal uint32) {
	p.departs(ordinal)
	p.detach(ordinal)
	p.empty(ordinal)
}

// wipe is remove, and leaves nothing in memory of what was known.
func (p *project) wipe(ordinal uint32) {
	p.departs(ordinal)
	p.detach(ordinal)
	p.release(ordinal, (*index.Arena).Wipe, (*index.Index).Wipe)
}

// detach ends the life of a subscription; all that is known of it is still there.
func (p *project) detach(ordinal uint32) {
	p.byAddress.Delete(p.hashOfAddress(ordinal), ordinal, p.hashOfAddress)
	p.live.Remove(ordinal)
	p.reachable.Remove(ordinal)
	p.touch(ordinal)
}

// empty lets go of what is known of a subscription that lives no more.
func (p *project) empty(ordinal uint32) {
	p.release(ordinal, (*index.Arena).Free, (*index.Index).Clear)
}

func (p *project) release(ordinal uint32, free func(*index.Arena, index.Ref), clear func(*index.Index, uint32)) {
	p.routeUses[p.rows.route.At(ordinal)]--
	free(&p.addresses, p.rows.address.At(ordinal))
	p.rows.address.Set(ordinal, 0)
	p.rows.created.Set(ordinal, 0)
	p.rows.active.Set(ordinal, 0)
	p.rows.vouched.Set(ordinal, 0)
	clear(p.known, ordinal)
	if p.rows.profile.At(ordinal) == 0 {
		p.done.own.Clear(ordinal)
		p.openedForgets(ordinal)
	}
	p.touch(ordinal)
	p.compact()
}

func (p *project) optIn(ordinal uint32, in bool) {
	if p.reachable.Contains(ordinal) != in {
		p.mark(ordinal)
	}
	p.give(ordinal, fieldOptedIn, index.FlagValue(in))
	p.touch(ordinal)
	if in {
		p.reachable.Add(ordinal)
	} else {
		p.reachable.Remove(ordinal)
		p.tell(ordinal)
	}
}
