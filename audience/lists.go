package audience

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// Steps of a list's life, in record.ListUpdate.
const (
	ListMake    = 1 + iota // the name is this list's; another that had it is gone
	ListDraft              // an upload begins a draft; that of another upload is gone
	ListAdd                // entries, to the list or to the draft of an upload
	ListRemove             // entries, the same
	ListReplace            // the draft of an upload takes the place of the list
	ListDelete             // the list is gone
)

// maxListName is the longest name of a list, in bytes.
const maxListName = 64

// draftLife is how long a draft waits for the next of its entries, by the time
// of the log.
const draftLife = 24 * time.Hour

// lists are the uploaded sets of a project. An entry is a person by their user
// id, on the person's shard only, or a subscription, on every shard: it may come
// to any. Entries outlive opt-outs and deletions. One whose person or
// subscription is known is a bit beside that of others, 2 bytes at most; of one
// that is not known yet the first half of a SHA-256, or the identifier, is kept
// once for all lists: about 30 bytes.
type lists struct {
	named   map[string]*named
	all     []*list // in place and drafts, in no order
	people  waiting
	singles waiting // subscriptions
	expire  int64   // when the first draft may go; 0: there is none
}

// named is what stands under a name.
type named struct {
	id     tocsin.ImportID
	list   *list
	upload tocsin.ImportID // whose draft it is; zero: no draft
	draft  *list
	at     int64           // when the draft was last written
	placed tocsin.ImportID // upload whose draft took the place last
}

// list is one set.
type list struct {
	rows    *index.Rows // subscriptions in it, by themselves or with their person, deleted ones too
	people  entries
	singles entries
	moment  *index.Moment // holds the entries, unless it is over
}

// own makes the entries the writer's alone: what a snapshot holds is copied.
func (l *list) own() {
	if !l.moment.Over() {
		l.people, l.singles = l.people.copied(), l.singles.copied()
	}
	l.moment = nil
}

// entries are those of one sort.
type entries struct {
	known   *index.Rows // numbers of people, or ordinals
	waiting *index.Rows // places among those that wait
}

func (e *entries) copied() entries { return entries{e.known.Clone(), e.waiting.Clone()} }

func (e *entries) len() int { return e.known.Len() + e.waiting.Len() }

func ofPeople(l *list) *entries  { return &l.people }
func ofSingles(l *list) *entries { return &l.singles }

func newList() *list {
	return &list{rows: new(index.Rows), people: entries{new(index.Rows), new(index.Rows)}, singles: entries{new(index.Rows), new(index.Rows)}}
}

// keyOfPerson is what stands for a profile key that nobody has yet.
func keyOfPerson(key string) [16]byte {
	sum := sha256.Sum256([]byte(key))
	return [16]byte(sum[:16])
}

// listFits looks a change through before anything of its record is applied.
func listFits(u *record.ListUpdate) bool {
	const id = len(tocsin.ImportID{})
	return u.Name != "" && len(u.Name) <= maxListName && len(u.List) == id && (len(u.Upload) == id || len(u.Upload) == 0 && u.Step != ListDraft && u.Step != ListReplace) &&
		ListMake <= u.Step && u.Step <= ListDelete && len(u.Subscriptions)%id == 0
}

// updateList applies a change to lists that was written at an instant.
func (p *project) updateList(at int64, u *record.ListUpdate) {
	ls := &p.lists
	if u.Step != ListAdd && u.Step != ListRemove {
		p.touchAllMoving() // the name may mean others
	}
	n, id, upload := ls.named[u.Name], tocsin.ImportID(u.List), tocsin.ImportID{}
	copy(upload[:], u.Upload)
	if u.Step == ListMake {
		if n == nil || n.id != id {
			if ls.named == nil {
				ls.named = make(map[string]*named)
			}
			ls.named[u.Name] = &named{id: id, list: newList()}
		}
		ls.settle(p)
		return
	}
	if n == nil || n.id != id {
		return // deleted meanwhile
	}
	to := n.list
	if !upload.IsZero() {
		to = nil
		if upload == n.upload {
			to, n.at = n.draft, at
		}
	}
	switch {
	case u.Step == ListDelete:
		delete(ls.named, u.Name)
	case u.Step == ListDraft && to == nil:
		n.draft, n.upload, n.at = newList(), upload, at
	case u.Step == ListReplace && to != nil && to == n.draft:
		n.list, n.placed, n.draft, n.upload = n.draft, upload, nil, tocsin.ImportID{}
	case u.Step == ListAdd && to != nil:
		to.own()
		p.each(u, func(key string) { p.addPerson(to, key) }, func(id tocsin.SubscriptionID) { p.addSingle(to, id) })
	case u.Step == ListRemove && to != nil:
		to.own()
		p.each(u, func(key string) { p.removePerson(to, key) }, func(id tocsin.SubscriptionID) { p.removeSingle(to, id) })
	}
	ls.settle(p)
}

// each calls for every entry of a change.
func (p *project) each(u *record.ListUpdate, person func(key string), single func(tocsin.SubscriptionID)) {
	for _, user := range u.Users {
		person(UserKey(user))
	}
	for id := range slices.Chunk(u.Subscriptions, len(tocsin.SubscriptionID{})) {
		single(tocsin.SubscriptionID(id))
	}
}

func (p *project) addPerson(l *list, key string) {
	number, known := p.person(key)
	if !known {
		l.people.waiting.Add(p.lists.people.place(p, keyOfPerson(key)))
		return
	}
	if l.people.known.Add(number) {
		p.devices(number, func(o uint32) {
			l.rows.Add(o)
			p.touchMoving(o)
		})
	}
}

func (p *project) removePerson(l *list, key string) {
	number, known := p.person(key)
	if !known {
		if at, waits := p.lists.people.find(p, keyOfPerson(key)); waits {
			l.people.waiting.Remove(at)
		}
		return
	}
	if l.people.known.Remove(number) {
		p.devices(number, func(o uint32) { p.look(l, o) })
	}
}

func (p *project) addSingle(l *list, id tocsin.SubscriptionID) {
	if ordinal, known := p.ordinal(id); known {
		l.singles.known.Add(ordinal)
		l.rows.Add(ordinal)
		p.touchMoving(ordinal)
	} else {
		l.singles.waiting.Add(p.lists.singles.place(p, id))
	}
}

func (p *project) removeSingle(l *list, id tocsin.SubscriptionID) {
	if ordinal, known := p.ordinal(id); known {
		l.singles.known.Remove(ordinal)
		p.look(l, ordinal)
	} else if at, waits := p.lists.singles.find(p, id); waits {
		l.singles.waiting.Remove(at)
	}
}

// devices calls for the subscriptions of a person, deleted ones too.
func (p *project) devices(number uint32, each func(ordinal uint32)) {
	for o := p.people.first.At(number); o != 0; o = p.rows.next.At(o - 1) {
		each(o - 1)
	}
}

// look puts a subscription into the rows of a list, or takes it out.
func (p *project) look(l *list, ordinal uint32) {
	p.touchMoving(ordinal)
	person := p.rows.profile.At(ordinal)
	if l.singles.known.Has(ordinal) || person != 0 && l.people.known.Has(person-1) {
		l.rows.Add(ordinal)
	} else {
		l.rows.Remove(ordinal)
	}
}

// personCame gives the entries that waited for a person their number.
func (p *project) personCame(number uint32, key string) {
	if p.lists.people.keys.Len() == 0 {
		return
	}
	if at, waits := p.lists.people.find(p, keyOfPerson(key)); waits {
		for _, l := range p.lists.all {
			if l.people.waiting.Has(at) {
				l.own()
				l.people.waiting.Remove(at)
				l.people.known.Add(number)
			}
		}
	}
}

// singleCame gives the entries that waited for a subscription their ordinal.
func (p *project) singleCame(ordinal uint32, id tocsin.SubscriptionID) {
	if p.lists.singles.keys.Len() == 0 {
		return
	}
	if at, waits := p.lists.singles.find(p, id); waits {
		for _, l := range p.lists.all {
			if l.singles.waiting.Has(at) {
				l.own()
				l.singles.waiting.Remove(at)
				l.singles.known.Add(ordinal)
				l.rows.Add(ordinal)
			}
		}
	}
}

// changedHands follows a subscription that is somebody else's now: by number of
// the person + 1, 0 is nobody.
func (p *project) changedHands(ordinal, before, now uint32) {
	p.openedHands(ordinal, before, now)
	for _, l := range p.lists.all {
		if l.people.known.Len() > 0 {
			p.look(l, ordinal)
		}
	}
}

// eraseFromLists takes a profile, known or not, and the subscriptions that it has
// or had, here or elsewhere, out of all lists.
func (p *project) eraseFromLists(e *record.Erase, ordinals []uint32) {
	number, known := p.person(e.Profile)
	for _, l := range p.lists.all {
		l.own()
		if known {
			l.people.known.Remove(number)
		}
		for _, o := range ordinals {
			l.singles.known.Remove(o)
			l.rows.Remove(o)
		}
	}
	p.lists.people.erase(p, keyOfPerson(e.Profile), p.lists.all, ofPeople)
	singles := slices.Clone(e.Subscriptions)
	for _, o := range ordinals {
		id := p.rows.ids.At(o)
		singles = append(singles, id[:])
	}
	if id, is := strings.CutPrefix(e.Profile, anonymousPrefix); is {
		var single tocsin.SubscriptionID
		if single.UnmarshalText([]byte(id)) == nil {
			singles = append(singles, single[:])
		}
	}
	for _, id := range singles {
		if len(id) == len(tocsin.SubscriptionID{}) {
			p.lists.singles.erase(p, [16]byte(id), p.lists.all, ofSingles)
		}
	}
}

// expireDrafts drops those that nobody went on with.
func (ls *lists) expireDrafts(p *project, at int64) {
	if ls.expire == 0 || at < ls.expire {
		return
	}
	for _, n := range ls.named {
		if n.draft != nil && at >= n.at+int64(draftLife) {
			n.draft, n.upload = nil, tocsin.ImportID{}
		}
	}
	ls.settle(p)
}

// settle makes what follows from the names: which lists there are, and when a
// draft may go. What waited for lists that are gone goes with them.
func (ls *lists) settle(p *project) {
	ls.all, ls.expire = ls.all[:0], 0
	for _, n := range ls.named {
		ls.all = append(ls.all, n.list)
		if n.draft == nil {
			continue
		}
		ls.all = append(ls.all, n.draft)
		if end := n.at + int64(draftLife); ls.expire == 0 || end < ls.expire {
			ls.expire = end
		}
	}
	clear(ls.all[len(ls.all):cap(ls.all)])
	ls.people.sweep(p, ls.all, ofPeople)
	ls.singles.sweep(p, ls.all, ofSingles)
}

// size is the memory in use, in bytes.
func (ls *lists) size() (bytes int) {
	bytes = ls.people.size() + ls.singles.size()
	for _, l := range ls.all {
		bytes += l.rows.Size()
		for _, e := range [...]entries{l.people, l.singles} {
			bytes += e.known.Size() + e.waiting.Size()
		}
	}
	return bytes
}

func (l *list) sizes() ask.ListSize {
	if l == nil {
		return ask.ListSize{}
	}
	return ask.ListSize{People: l.people.len(), KnownPeople: l.people.known.Len(), Singles: l.singles.len(), KnownSingles: l.singles.known.Len()}
}

// List tells of a list by its name.
func (s *Shard) List(project tocsin.ProjectID, name string) (ask.List, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.projects[project]; p != nil {
		if n := p.lists.named[name]; n != nil {
			return ask.List{ID: n.id, Upload: n.upload, Placed: n.placed, Size: n.list.sizes(), Draft: n.draft.sizes()}, true
		}
	}
	return ask.List{}, false
}
