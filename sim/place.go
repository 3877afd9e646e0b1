package sim

import "sort"

// Place is a city with its share of the audience.
type Place struct {
	City, Country, Zone string
	languages           []tongue
	upTo                float64 // sum of shares up to this place
}

// tongue is a language and the share of a place that reads it.
type tongue struct {
	tag   string
	share float64
}

var (
	french  = []tongue{{"fr", 0.93}, {"en", 0.03}, {"pt", 0.02}, {"ar", 0.02}}
	belgian = []tongue{{"fr-BE", 0.6}, {"nl", 0.35}, {"en", 0.05}}
	swiss   = []tongue{{"fr-CH", 0.6}, {"de", 0.35}, {"it", 0.05}}
	quebec  = []tongue{{"fr-CA", 0.8}, {"en", 0.2}}
	maghreb = []tongue{{"fr", 0.6}, {"ar", 0.4}}
	english = []tongue{{"en", 0.8}, {"fr", 0.2}}
)

// places are cities by share of the readers of a French publisher.
var places = makePlaces()

func makePlaces() []Place {
	list := []struct {
		city, country, zone string
		weight              float64
		languages           []tongue
	}{
		{"Paris", "FR", "Europe/Paris", 22, french}, {"Marseille", "FR", "Europe/Paris", 7, french},
		{"Lyon", "FR", "Europe/Paris", 7, french}, {"Toulouse", "FR", "Europe/Paris", 5, french},
		{"Nice", "FR", "Europe/Paris", 4, french}, {"Nantes", "FR", "Europe/Paris", 4, french},
		{"Montpellier", "FR", "Europe/Paris", 3, french}, {"Strasbourg", "FR", "Europe/Paris", 3, french},
		{"Bordeaux", "FR", "Europe/Paris", 4, french}, {"Lille", "FR", "Europe/Paris", 4, french},
		{"Rennes", "FR", "Europe/Paris", 3, french}, {"Reims", "FR", "Europe/Paris", 2, french},
		{"Toulon", "FR", "Europe/Paris", 2, french}, {"Grenoble", "FR", "Europe/Paris", 2, french},
		{"Dijon", "FR", "Europe/Paris", 2, french}, {"Brest", "FR", "Europe/Paris", 2, french},
		{"Saint-Denis", "RE", "Indian/Reunion", 1.5, french}, {"Fort-de-France", "MQ", "America/Martinique", 0.8, french},
		{"Cayenne", "GF", "America/Cayenne", 0.4, french}, {"Papeete", "PF", "Pacific/Tahiti", 0.3, french},
		{"Brussels", "BE", "Europe/Brussels", 4, belgian}, {"Geneva", "CH", "Europe/Zurich", 2.5, swiss},
		{"Luxembourg", "LU", "Europe/Luxembourg", 0.8, []tongue{{"fr", 0.6}, {"de", 0.3}, {"en", 0.1}}},
		{"Montreal", "CA", "America/Toronto", 3.5, quebec}, {"London", "GB", "Europe/London", 1.5, english},
		{"New York", "US", "America/New_York", 1.2, english}, {"Los Angeles", "US", "America/Los_Angeles", 0.5, english},
		{"Madrid", "ES", "Europe/Madrid", 0.8, []tongue{{"es", 0.8}, {"fr", 0.2}}},
		{"Berlin", "DE", "Europe/Berlin", 0.8, []tongue{{"de", 0.8}, {"fr", 0.2}}},
		{"Rome", "IT", "Europe/Rome", 0.6, []tongue{{"it", 0.8}, {"fr", 0.2}}},
		{"Casablanca", "MA", "Africa/Casablanca", 1.5, maghreb}, {"Algiers", "DZ", "Africa/Algiers", 1.2, maghreb},
		{"Tunis", "TN", "Africa/Tunis", 0.9, maghreb}, {"Dakar", "SN", "Africa/Dakar", 0.8, french},
		{"Abidjan", "CI", "Africa/Abidjan", 0.8, french}, {"Kinshasa", "CD", "Africa/Kinshasa", 0.4, french},
		{"Beirut", "LB", "Asia/Beirut", 0.3, maghreb}, {"Tokyo", "JP", "Asia/Tokyo", 0.1, []tongue{{"ja", 0.5}, {"fr", 0.5}}},
		{"Kathmandu", "NP", "Asia/Kathmandu", 0.05, english}, {"Sydney", "AU", "Australia/Sydney", 0.15, english},
	}
	total := 0.0
	for _, p := range list {
		total += p.weight
	}
	made, sum := make([]Place, len(list)), 0.0
	for i, p := range list {
		sum += p.weight / total
		made[i] = Place{p.city, p.country, p.zone, p.languages, sum}
	}
	made[len(made)-1].upTo = 1
	return made
}

// placeAt returns the place that a number in [0, 1) falls on.
func placeAt(u float64) *Place {
	return &places[sort.Search(len(places)-1, func(i int) bool { return u < places[i].upTo })]
}

func (p *Place) language(u float64) string {
	for _, l := range p.languages {
		if u < l.share {
			return l.tag
		}
		u -= l.share
	}
	return p.languages[0].tag
}

// interests are the topics that readers choose, and how many do.
var interests = []struct {
	name  string
	share float64
}{{"breaking", 0.8}, {"politics", 0.45}, {"sport", 0.4}, {"world", 0.35}, {"culture", 0.3}, {"economy", 0.25},
	{"science", 0.2}, {"weather", 0.2}, {"local", 0.5}, {"elections", 0.15}}

func plan(u float64) string {
	switch {
	case u < 0.8:
		return "free"
	case u < 0.92:
		return "monthly"
	}
	return "yearly"
}
