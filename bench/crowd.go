package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// crowd is a seeded audience to ask questions about: the same people for the
// same fields, each reachable by its number, with 20 attributes on average and
// five sets of tags, and 30 days of events (crowddeeds.go). Shares fall as they do in the field: a few countries and
// towns hold most people, a few tags are on most of them, numbers have long tails.
type crowd struct {
	seed uint64
	size int
	now  time.Time // activity is counted back from it
}

// person is one subscription of a crowd.
type person struct {
	number   int
	fcm      bool // else APNs
	token    uint64
	user     int // -1 is anonymous
	language string
	zone     string
	active   int64 // Unix seconds, as all times here
	optedIn  bool
	traits   [traitCount]cell
	tags     [setCount][]int // numbers in their set
	room     [32]int         // what tags stand in
}

const traitCount, setCount = 21, 5

// Numbers of customers are unique but for chance, and as many in each part of
// their range.
const customerFirst, customerSpan = 1_000_000_000, 1 << 33

// cell is one value; of a kind that is not there it is no value.
type cell struct {
	kind     client.ValueKind
	text     string // of Text and URL
	integer  int64  // of Integer, Boolean (0 or 1) and Time; of a version its order
	real     float64
	lat, lon float64
}

// trait is an attribute: its name, and how a person's value is drawn.
type trait struct {
	name string
	draw func(c *crowd, p *person, d *dice) cell
}

var (
	countries = skewed(50, 1, countryName)
	towns     = skewed(5_000, 0.9, word)
	postcodes = skewed(30_000, 0.4, func(n int) string { return fmt.Sprintf("%05d", n*3%100_000) })
	plans     = skewed(5, 1.5, func(n int) string { return [...]string{"free", "monthly", "yearly", "family", "student"}[n] })
	sources   = skewed(20, 1, func(n int) string { return "source-" + word(n) })
	devices   = skewed(400, 1, func(n int) string { return word(n*7) + " " + strconv.Itoa(n%17+1) })
	apps      = skewed(300, 1, func(n int) string { return version(300 - n) })
	systems   = skewed(60, 1, func(n int) string { return version(9*(60-n)) + ".0" })
	pages     = skewed(100_000, 0.8, pageName)
	languages = skewed(12, 1.2, func(n int) string {
		return [...]string{"en", "fr", "es", "de", "pt-br", "it", "nl", "ar", "pl", "ja", "fr-ca", "sv"}[n]
	})
	zones = skewed(8, 1, func(n int) string {
		return [...]string{"Europe/Paris", "America/New_York", "Asia/Kolkata", "Europe/London", "America/Sao_Paulo", "Asia/Tokyo", "America/Los_Angeles", "Africa/Casablanca"}[n]
	})
)

var traits = [traitCount]trait{
	{"country", ofWords(countries)},
	{"town", ofWords(towns)},
	{"postcode", ofWords(postcodes)},
	{"plan", ofWords(plans)},
	{"source", ofWords(sources)},
	{"device", ofWords(devices)},
	{"app", ofVersions(apps)},
	{"os", ofVersions(systems)},
	{"page", func(_ *crowd, _ *person, d *dice) cell { return cell{kind: client.URL, text: pages.at(d)} }},
	{"newsletter", ofFlag(0.3)},
	{"premium", ofFlag(0.08)},
	{"sound", ofFlag(0.9)},
	{"age", func(_ *crowd, _ *person, d *dice) cell { return number(int64(13 + 77*d.unit()*(0.4+0.6*d.unit()))) }},
	{"articles", func(_ *crowd, _ *person, d *dice) cell { return number(int64(12 * d.exponential())) }},
	{"visits", func(_ *crowd, _ *person, d *dice) cell { return number(int64(40 * math.Exp(2*d.normal()))) }},
	{"customer", func(c *crowd, p *person, _ *dice) cell {
		return number(customerFirst + int64(mix(c.seed^mix(uint64(p.number)))%customerSpan))
	}},
	{"loyalty", func(_ *crowd, _ *person, d *dice) cell { return amount(math.Round(1000*d.unit()*d.unit()) / 1000) }},
	{"spent", func(_ *crowd, _ *person, d *dice) cell {
		return amount(math.Round(3000*math.Exp(1.5*d.normal())) / 100)
	}},
	{"installed", func(_ *crowd, p *person, d *dice) cell { return moment(p.active - int64(d.unit()*1000*day)) }},
	{"last_order", func(c *crowd, _ *person, d *dice) cell {
		if d.unit() >= 0.4 {
			return cell{}
		}
		return moment(c.now.Unix() - int64(90*day*d.exponential()))
	}},
	{"home", func(_ *crowd, p *person, d *dice) cell {
		if d.unit() >= 0.7 {
			return cell{}
		}
		h := mix(uint64(len(p.traits[1].text))<<56 ^ hashText(p.traits[1].text)) // people of a town live together
		place := func(centre, spread float64) float64 { return math.Round(1e5*(centre+spread*d.normal())) / 1e5 }
		return cell{kind: client.Location, lat: place(float64(h%90)-25, 0.08), lon: place(float64(h>>32%300)-150, 0.1)}
	}},
}

// tagSet is a set of tags; the first ones are on the most people.
type tagSet struct {
	name   string
	tags   words
	shares []float64 // of each tag, drawn apart; else as many as count says are drawn
	count  func(p *person, d *dice) int
}

var tagSets = [setCount]tagSet{
	{"topics", words{list: []string{"breaking", "sport", "politics", "world", "culture", "economy", "science", "weather", "local", "food", "travel", "elections"}},
		[]float64{0.6, 0.25, 0.12, 0.2, 0.15, 0.1, 0.08, 0.3, 0.35, 0.07, 0.05, 0.03}, nil},
	{"teams", skewed(300, 1, func(n int) string { return "fc-" + word(n*3) }), nil, func(_ *person, d *dice) int { return max(0, int(6*d.unit())-3) }},
	{"authors", skewed(3_000, 0.9, func(n int) string { return word(n) + "." + word(n*11+5) }), nil, func(_ *person, d *dice) int { return max(0, int(8*d.unit())-5) }},
	{"regions", skewed(100, 0.8, func(n int) string { return "region-" + strconv.Itoa(n) }), nil, func(*person, *dice) int { return 1 }},
	{"tests", skewed(30, 0.5, func(n int) string { return "test-" + strconv.Itoa(n) + "-b" }), nil, func(_ *person, d *dice) int { return int(2 * d.unit()) }},
}

const day = 24 * 60 * 60

// at draws person n into p.
func (c *crowd) at(n int, p *person) {
	d := c.meet(n, p)
	p.optedIn = d.unit() >= 0.05
	for i := range traits {
		p.traits[i] = traits[i].draw(c, p, &d)
	}
	room := p.room[:0]
	for i := range tagSets {
		from := len(room)
		room = tagSets[i].draw(p, &d, room)
		p.tags[i] = room[from:]
	}
}

// meet draws who person n is and when he was last seen.
func (c *crowd) meet(n int, p *person) (d dice) {
	d = dice(mix(c.seed ^ mix(uint64(n))))
	p.number, p.fcm, p.token = n, d.unit() < 0.6, d.next()
	p.user = n
	if n%8 == 7 { // the second device of the one before
		p.user = n - 1
	}
	if p.user%5 == 2 {
		p.user = -1
	}
	p.language, p.zone = languages.at(&d), zones.at(&d)
	p.active = c.now.Unix() - int64(32.7*day*d.exponential()) // 60 % within 30 days
	return d
}

func (s *tagSet) draw(p *person, d *dice, to []int) []int {
	for n, share := range s.shares {
		if d.unit() < share {
			to = append(to, n)
		}
	}
	if s.count == nil {
		return to
	}
	from := len(to)
	for range s.count(p, d) {
		if n := s.tags.draw(d); !slices.Contains(to[from:], n) {
			to = append(to, n)
		}
	}
	return to
}

// words are the texts of a dictionary, with a table to draw them by their share.
type words struct {
	list  []string
	order []int64 // of versions
	table []uint32
}

// skewed makes words whose shares fall with a power of their rank (Zipf's law).
func skewed(n int, power float64, name func(int) string) words {
	const cells = 1 << 18
	w := words{list: make([]string, n), table: make([]uint32, cells)}
	total := 0.0
	for i := range n {
		w.list[i] = name(i)
		total += math.Pow(float64(i+1), -power)
	}
	sum, at := 0.0, 0
	for i := range n {
		sum += math.Pow(float64(i+1), -power)
		for ; at < cells && float64(at) < sum/total*cells; at++ {
			w.table[at] = uint32(i)
		}
	}
	return w
}

func (w *words) draw(d *dice) int { return int(w.table[d.next()>>46]) }

func (w *words) at(d *dice) string { return w.list[w.draw(d)] }

func ofWords(w words) func(*crowd, *person, *dice) cell {
	return func(_ *crowd, _ *person, d *dice) cell { return cell{kind: client.Text, text: w.at(d)} }
}

// ofVersions keeps beside the text a number of the same order, as a table
// without versions would.
func ofVersions(w words) func(*crowd, *person, *dice) cell {
	order := make([]int64, len(w.list))
	for i, text := range w.list {
		order[i] = versionOrder(text)
	}
	return func(_ *crowd, _ *person, d *dice) cell {
		n := w.draw(d)
		return cell{kind: client.Text, text: w.list[n], integer: order[n]}
	}
}

func ofFlag(share float64) func(*crowd, *person, *dice) cell {
	return func(_ *crowd, _ *person, d *dice) cell {
		c := cell{kind: client.Boolean}
		if d.unit() < share {
			c.integer = 1
		}
		return c
	}
}

func number(n int64) cell    { return cell{kind: client.Integer, integer: n} }
func amount(f float64) cell  { return cell{kind: client.Float, real: f} }
func moment(unix int64) cell { return cell{kind: client.Time, integer: unix} }

// countryName is the code of a country, France the third.
func countryName(n int) string {
	const codes = "USINFRBRDEGBESITJPNGCAMXPLNLBECHPTSEARCOMADZTNSNCITRGREGZAKEIDPHVNTHKRAUNZNOFIDKIECZATHUROBGLUHR"
	if 2*n+2 > len(codes) {
		return "X" + string(rune('A'+n-len(codes)/2))
	}
	return codes[2*n : 2*n+2]
}

// word is a name of two to four syllables, different for each number.
func word(n int) string {
	const first, second = "bdfgklmnprstvz", "aeiou"
	text := ""
	for n += 70; n > 0; n /= len(first) * len(second) {
		text += string(first[n%len(first)]) + string(second[n/len(first)%len(second)])
	}
	return text
}

func pageName(n int) string {
	section := [...]string{"sport/football", "politics", "sport/tennis", "world/europe", "culture/books", "economy", "local/" + word(n%40), "science"}[n%8]
	return "https://news.example/" + section + "/" + strconv.Itoa(n)
}

func version(n int) string { return fmt.Sprintf("%d.%d.%d", n/60+1, n/5%12, n%5) }

func versionOrder(text string) (order int64) {
	var parts [4]int64
	fmt.Sscanf(text, "%d.%d.%d.%d", &parts[0], &parts[1], &parts[2], &parts[3])
	for _, part := range parts[:3] {
		order = order*1000 + part
	}
	return order
}

func hashText(text string) (h uint64) {
	for i := range len(text) {
		h = mix(h ^ uint64(text[i]))
	}
	return h
}

// dice is a sequence of random numbers that belongs to one person.
type dice uint64

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	return mix(uint64(*d))
}

// unit is in [0, 1).
func (d *dice) unit() float64 { return float64(d.next()>>11) / (1 << 53) }

func (d *dice) exponential() float64 { return -math.Log(1 - d.unit()) }

// normal is of a normal distribution, but for its far tails (Irwin and Hall).
func (d *dice) normal() float64 {
	return d.unit() + d.unit() + d.unit() + d.unit() + d.unit() + d.unit() - 3
}

// mix is the finaliser of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
