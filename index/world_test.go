package index

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// world is a random schema with random rows, and the queries that may be asked
// of it.
type world struct {
	*rand.Rand
	x      *Index
	n      naive
	rows   []uint32
	fields []field
	sets   []string
	around *Around
	named  map[target.Member]*Rows

	definitions map[string]string // of segments
}

// field is an attribute: the kinds of its values, and how many there are of each.
type field struct {
	name   string
	kinds  []Kind
	values int
}

var (
	epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	zones = []string{"Europe/Paris", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Niue", "Asia/Kathmandu", "UTC", "Nowhere/At_All"}
)

// zonesOf reads the zones once.
func zonesOf() func(string) (*time.Location, bool) {
	known := make(map[string]*time.Location)
	for _, name := range zones {
		if zone, err := time.LoadLocation(name); err == nil {
			known[name] = zone
		}
	}
	return func(name string) (*time.Location, bool) {
		zone, ok := known[name]
		return zone, ok
	}
}

func newWorld(random *rand.Rand, zone func(string) (*time.Location, bool)) *world {
	w := &world{Rand: random, x: New(), n: make(naive)}
	w.x.shape = shape{sets: 1 + random.IntN(12), plain: 2 + random.IntN(20), rows: 1 << 20, doers: random.IntN(2) * random.IntN(40)}
	for i := range 1 + random.IntN(5) {
		f := field{name: string(rune('a' + i)), values: 1 + random.IntN(40)}
		for range 1 + random.IntN(2)*random.IntN(3) {
			f.kinds = append(f.kinds, Kind(1+random.IntN(int(Location))))
		}
		w.fields = append(w.fields, f)
	}
	w.sets = []string{"tags", "a"}[:1+random.IntN(2)]
	w.fields = append(w.fields, field{"zone", []Kind{Text}, 0}, field{"language", []Kind{Text}, 1 + random.IntN(5)}, field{"opted_in", []Kind{Flag}, 2},
		field{"city", []Kind{Text}, 1 + random.IntN(5)}, field{"app_version", []Kind{Text, Real}, 1 + random.IntN(40)})
	// Rows lie about the borders of blocks and of words, or anywhere.
	seen := make(map[uint32]bool)
	for range 1 + random.IntN(60) {
		row := uint32(random.IntN(4)/2*(1+random.IntN(2)))*blockRows + uint32(random.IntN(140))
		if random.IntN(4) == 0 {
			row = uint32(max(0, int(row)-70))
		}
		if !seen[row] {
			seen[row] = true
			w.rows = append(w.rows, row)
		}
	}
	w.around = &Around{Now: epoch.Add(time.Duration(random.Int64N(int64(48 * time.Hour)))), Zone: zone}
	w.around.Own, w.around.People = NewEvents(), NewEvents()
	w.around.Own.Advance(uint32(epoch.Unix()))
	w.around.People.Advance(uint32(epoch.Unix()))
	profiles := random.IntN(blockRows + 200)
	for _, row := range w.rows {
		if int(row) < profiles && random.IntN(2) > 0 {
			w.around.Profile.Set(row, uint32(1+random.IntN(2)*random.IntN(3)*blockRows+random.IntN(40)))
		}
	}
	for _, column := range []*Cells[uint32]{&w.around.Created, &w.around.Active} {
		length := random.IntN(blockRows + 200)
		for _, row := range w.rows {
			if int(row) < length && random.IntN(4) > 0 {
				column.Set(row, uint32(epoch.Unix()+int64(random.IntN(20)-10)*6*3600))
			}
		}
	}
	w.named = make(map[target.Member]*Rows)
	for i := range 1 + random.IntN(3) {
		rows := &Rows{}
		for _, row := range w.rows {
			if random.IntN(3) == 0 {
				rows.Add(row)
			}
		}
		w.named[target.Member{Field: target.List, Name: string(rune('a' + i))}] = rows
	}
	w.around.Members = func(m target.Member) *Rows { return w.named[m] }
	w.definitions = map[string]string{"nobody": `{"list":"nobody"}`}
	for _, name := range []string{"a", "b", "c"} {
		w.definitions[name] = w.query(w.IntN(3)) // it may name those before
	}
	// Some are kept at some moments.
	w.around.Segment = func(definition *target.Query) *Rows {
		if w.IntN(2) == 0 {
			return nil
		}
		return RowsOf(roaring.BitmapOf(w.n.run(definition, w.rows, w.around)...))
	}
	return w
}

// parse reads a target with the segments that it names.
func (w *world) parse(query string) (*target.Query, error) {
	return target.NewLibrary(target.Widest(), func(name string) ([]byte, bool) { return []byte(w.definitions[name]), true }, nil).Parse([]byte(query))
}

func (w *world) pick(from ...string) string { return from[w.IntN(len(from))] }

// value is the number-th value of a kind.
func (w *world) value(kind Kind, number int) Value {
	switch kind {
	case Text:
		switch number % 3 {
		case 0:
			return Value{Kind: Text, Text: fmt.Sprintf("%d.%d.%d", number%4, number%7, number)}
		case 1:
			return Value{Kind: Text, Text: epoch.Add(time.Duration(number) * time.Hour).Format(time.RFC3339)}
		}
		return Value{Kind: Text, Text: strings.Repeat("ab", number%4) + strconv.Itoa(number)}
	case URL:
		return Value{Kind: URL, Text: "https://example.org/" + strconv.Itoa(number)}
	case Integer:
		return Value{Kind: Integer, Bits: int64([]int{number - 5, number << 57, math.MaxInt64 - number, math.MinInt64 + number}[min(number%8, 3)*(number&1)])}
	case Real:
		return RealValue([]float64{float64(number) / 2, float64(number) * 1e17, -float64(number), 9.3e18, -9.3e18, 5e-324}[number%6])
	case Flag:
		return FlagValue(number&1 == 1)
	case Time:
		return Value{Kind: Time, Bits: epoch.Add(time.Duration(number-10) * 3 * time.Hour).UnixNano()}
	}
	return LocationValue([]float64{48.8566, 48.85661, -90, 90, 0, 12.5 + float64(number)/1000}[number%6], []float64{2.3522, 180, -180, 2.3523, -70.25}[number%5])
}

func (w *world) drawn(f field) Value {
	switch f.name {
	case "zone":
		return Value{Kind: Text, Text: w.pick(zones...)}
	case "language":
		return Value{Kind: Text, Text: []string{"fr", "fr-ca", "en", "de", "pt-br"}[w.IntN(f.values)]}
	case "city":
		return Value{Kind: Text, Text: []string{"ab", "Lyon", "fr", "abba", "1"}[w.IntN(f.values)]}
	}
	return w.value(f.kinds[w.IntN(len(f.kinds))], w.IntN(f.values))
}

func (w *world) tags(most int) (tags []string) {
	for range w.IntN(most + 1) {
		tags = append(tags, w.pick("p", "q", "r", "s", "t"))
	}
	return tags
}

// change does the same to the index and to the rows that are maps.
func (w *world) change() {
	if w.IntN(40) == 0 {
		w.rename()
		return
	}
	row, f := w.rows[w.IntN(len(w.rows))], w.fields[w.IntN(len(w.fields))]
	switch w.IntN(15) {
	case 13, 14:
		w.happens(row)
	case 12:
		if rows := w.named[target.Member{Field: target.List, Name: "a"}]; !rows.Add(row) {
			rows.Remove(row)
		}
	case 0:
		w.x.Remove(row, f.name)
		delete(w.n.row(row).attributes, f.name)
	case 1:
		if w.IntN(4) == 0 {
			w.x.Clear(row)
			w.around.Own.Clear(row)
			delete(w.n, row)
		}
	case 2, 3, 4:
		name, clear := w.pick(w.sets...), w.IntN(2) == 0
		replace, add, remove := w.tags(4), w.tags(2), w.tags(2)
		w.x.ChangeTags(row, name, clear, replace, add, remove)
		w.n.row(row).changeTags(name, clear, replace, add, remove)
	default:
		w.give(row, f.name, w.drawn(f))
	}
}

// rename takes a name away, or what is under it to another.
func (w *world) rename() {
	names := w.sets
	tags := w.IntN(2) == 0
	if !tags {
		names = nil
		for _, f := range w.fields {
			if len(f.name) == 1 { // no native field
				names = append(names, f.name)
			}
		}
	}
	from, to := w.pick(names...), w.pick(append(slices.Clone(names), "", "nobody")...)
	switch {
	case to == "" && tags:
		w.x.DropSet(from)
	case to == "":
		w.x.Drop(from)
	case tags:
		w.x.RenameSet(from, to)
	default:
		w.x.Rename(from, to)
	}
	for _, p := range w.n {
		if v, ok := p.attributes[from]; ok && !tags && from != to {
			delete(p.attributes, from)
			if _, there := p.attributes[to]; !there && to != "" {
				p.attributes[to] = v
			}
		}
		if list := p.tags[from]; len(list) > 0 && tags && from != to {
			delete(p.tags, from)
			if len(p.tags[to]) == 0 && to != "" {
				p.tags[to] = list
			}
		}
	}
}

func (w *world) give(row uint32, name string, v Value) {
	w.x.Set(row, name, v)
	w.n.row(row).attributes[name] = v
}

// literal writes a value as queries do: often one that is stored.
func (w *world) literal(f field) string {
	if w.IntN(8) == 0 {
		return w.pick(`"x"`, "0", "2.5", "true", "1e19", "-9223372036854775808", "9223372036854775807", "144115188075855873", `"now-30d"`)
	}
	switch v := w.drawn(f); v.Kind {
	case Text, URL:
		return strconv.Quote(v.Text)
	case Time:
		return strconv.Quote(v.String())
	case Location:
		return "12.5"
	default:
		return v.String()
	}
}

// ordinal writes what something is compared with; times tells the type.
func (w *world) ordinal(f field, times bool) string {
	if !times {
		switch w.IntN(4) {
		case 0:
			return w.pick("0", "2.5", "-3", "1e19", "-1e19", "9223372036854775807", "-9223372036854775808", "9007199254740993", "4e-324")
		default:
			v := w.value(Kind(Integer+Kind(w.IntN(2))), w.IntN(max(f.values, 1)))
			return v.String()
		}
	}
	switch w.IntN(3) {
	case 0:
		return fmt.Sprintf(`"now%+dh"`, w.IntN(72)-36)
	case 1:
		return w.pick(`"today"`, fmt.Sprintf(`"today%+dd"`, w.IntN(4)-2))
	}
	return strconv.Quote(w.value(Time, w.IntN(max(f.values, 20))).String())
}

func (w *world) list(most int, one func() string) string {
	parts := []string{one()}
	for range w.IntN(most) {
		parts = append(parts, one())
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// query writes a target.
func (w *world) query(depth int) string {
	if depth > 0 {
		inner := func() string { return w.query(depth - 1) }
		switch w.IntN(8) {
		case 0, 1:
			return `{"$and":` + w.list(3, inner) + `}`
		case 2, 3:
			return `{"$or":` + w.list(3, inner) + `}`
		case 4:
			return `{"$not":` + inner() + `}`
		}
	}
	if w.IntN(40) == 0 {
		return `{}`
	}
	return w.clause()
}

func (w *world) clause() string {
	f := w.fields[w.IntN(len(w.fields))]
	switch w.IntN(17) {
	case 14, 15, 16:
		return w.event()
	case 13:
		names := slices.Sorted(maps.Keys(w.definitions)) // what is not defined yet is not named
		name := func() string { return strconv.Quote(names[w.IntN(len(names))]) }
		if w.IntN(2) == 0 {
			return fmt.Sprintf(`{"segment":{"%s":%s}}`, w.pick("$eq", "$ne"), name())
		}
		return fmt.Sprintf(`{"segment":{"%s":%s}}`, w.pick("$in", "$nin"), w.list(2, name))
	case 12:
		name := func() string { return w.pick(`"a"`, `"b"`, `"c"`, `"nobody"`) }
		if w.IntN(2) == 0 {
			return fmt.Sprintf(`{"list":{"%s":%s}}`, w.pick("$eq", "$ne"), name())
		}
		return fmt.Sprintf(`{"list":{"%s":%s}}`, w.pick("$in", "$nin"), w.list(2, name))
	case 0:
		return fmt.Sprintf(`{"%s":{"%s":%s}}`, w.pick(w.sets...), w.pick("$contains", "$containsAny", "$containsAll"),
			w.list(3, func() string { return strconv.Quote(w.pick("p", "q", "r", "s", "t", "never")) }))
	case 1:
		name := w.pick(f.name, w.sets[0], "created", "last_active", "has_profile", "nobody")
		return fmt.Sprintf(`{"%s":{"$exists":%v}}`, name, w.IntN(2) == 0)
	case 2:
		return fmt.Sprintf(`{"has_profile":{"%s":%v}}`, w.pick("$eq", "$ne"), w.IntN(2) == 0)
	case 3, 4:
		return fmt.Sprintf(`{"%s":%s}`, w.pick("created", "last_active"), w.range_(f, true))
	}
	version := f.name == "app_version"
	native := version || f.name == "zone" || f.name == "language" || f.name == "opted_in" || f.name == "city"
	operators := []string{"$eq", "$ne", "$in", "$nin"}
	switch kind := w.IntN(6); {
	case kind == 0 && f.name != "opted_in":
		return fmt.Sprintf(`{"%s":{"$startsWith":"%s"}}`, f.name, w.pick("a", "ab", "https://", "fr", "Europe/", "1", "2026-11-23T1"))
	case kind == 1 && (!native || version):
		version := func() string {
			return strconv.Quote(w.pick("1", "1.1.1", "2.6.6", "0.0", "1.5.33", "3", "2.0-rc.1", "0.3.24"))
		}
		operator := w.pick("$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$between")
		switch operator {
		case "$in", "$nin":
			return fmt.Sprintf(`{"%s":{"$version":{"%s":%s}}}`, f.name, operator, w.list(3, version))
		case "$between":
			return fmt.Sprintf(`{"%s":{"$version":{"$between":["0.5","%s"]}}}`, f.name, w.pick("1", "2.7", "9"))
		}
		return fmt.Sprintf(`{"%s":{"$version":{"%s":%s}}}`, f.name, operator, version())
	case kind == 2 && !native:
		return fmt.Sprintf(`{"%s":{"$near":{"lat":%s,"lon":%s,"km":%s}}}`, f.name, w.pick("48.8566", "0", "-90", "89.9", "12.5"),
			w.pick("2.3522", "179.99", "-180", "-70.25"), w.pick("0", "0.0011", "0.01", "25.3", "1234.56", "9876.5", "20038"))
	case kind <= 4 && !native:
		return fmt.Sprintf(`{"%s":%s}`, f.name, w.range_(f, w.IntN(2) == 0))
	}
	literal := func() string {
		if f.name == "opted_in" {
			return w.pick("true", "false")
		}
		if native {
			return strconv.Quote(w.drawn(f).String())
		}
		return w.literal(f)
	}
	operator := w.pick(operators...)
	if operator == "$in" || operator == "$nin" {
		return fmt.Sprintf(`{"%s":{"%s":%s}}`, f.name, operator, w.list(4, literal))
	}
	return fmt.Sprintf(`{"%s":{"%s":%s}}`, f.name, operator, literal())
}

// range_ writes an object of one comparison.
func (w *world) range_(f field, times bool) string {
	operator := w.pick("$gt", "$gte", "$lt", "$lte", "$between")
	if operator == "$between" {
		if times {
			return fmt.Sprintf(`{"$between":["%s","now+%dh"]}`, w.pick("2026-11-22T00:00:00Z", "today-1d", "2026-11-23T09:00:00+03:00"), w.IntN(40))
		}
		return fmt.Sprintf(`{"$between":[%s,%s]}`, w.pick("-4", "-1e19", "0.25"), w.pick("0.5", "7", "144115188075855872", "1e19"))
	}
	return fmt.Sprintf(`{"%s":%s}`, operator, w.ordinal(f, times))
}
