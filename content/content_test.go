package content

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

var meta = Meta{Collapse: "abc", TTL: time.Hour}

// election is a message with everything in it.
func election() *record.Message {
	return &record.Message{
		Fallback: "en",
		Languages: map[string]*record.Text{
			"en": {Title: `Results for {{ city | default: "your town" }}`, Body: "Turnout is \"high\"", Link: "https://example.com/{{ city }}"},
			"fr": {Title: "Résultats : {{ city }}", Image: "https://example.com/fr.png"},
		},
		Defaults: map[string]string{"city": "France"},
		Data:     map[string]string{"edition": "{{ edition | default: 3 }}", "b": "2"},
		Badge:    proto.Int32(0),
		Sound:    "default",
		Link:     "https://example.com/",
	}
}

func compile(t *testing.T, m *record.Message) *Compiled {
	t.Helper()
	c, err := Compile(m, meta)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values answers from a list of names and values.
func values(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func render(t *testing.T, v *Variant, pairs ...string) string {
	t.Helper()
	out, err := v.Append(nil, values(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestPayloads(t *testing.T) {
	silent := &record.Message{Data: map[string]string{"sync": "{{ list }}"}, Priority: PriorityNormal}
	overridden := election()
	overridden.Apns = []byte(`{"aps":{"thread-id":"vote","sound":{"critical":1,"name":"a","volume":0.50},"alert":{"subtitle":"in {{ city }}"}},"data":null,"extra":[1,"{{ edition }}",null]}`)
	overridden.Fcm = []byte(`{"notification":null,"data":{"title":"{{ city }}"},"android":{"notification":null,"ttl":"5s"}}`)
	overridden.Webpush = []byte(`{"mutable":true,"notification":{"lang":null,"actions":[{"action":"a","title":"Open","navigate":"/"}]}}`)
	for name, c := range map[string]struct {
		message  *record.Message
		provider tocsin.Provider
		language string
		values   []string
		want     string
	}{
		"apns": {election(), tocsin.APNs, "en", []string{"city", "Lyon"},
			`{"aps":{"alert":{"title":"Results for Lyon","body":"Turnout is \"high\""},"badge":0,"sound":"default"},"link":"https://example.com/Lyon","data":{"b":"2","edition":"3"}}`},
		"apns, nothing known": {election(), tocsin.APNs, "de", nil,
			`{"aps":{"alert":{"title":"Results for your town","body":"Turnout is \"high\""},"badge":0,"sound":"default"},"link":"https://example.com/France","data":{"b":"2","edition":"3"}}`},
		"apns with an image": {election(), tocsin.APNs, "fr", []string{"city", "", "edition", "4"},
			`{"aps":{"alert":{"title":"Résultats : France"},"badge":0,"sound":"default","mutable-content":1},"link":"https://example.com/","image":"https://example.com/fr.png","data":{"b":"2","edition":"4"}}`},
		"apns overridden": {overridden, tocsin.APNs, "en", []string{"city", "Lyon"},
			`{"aps":{"alert":{"title":"Results for Lyon","body":"Turnout is \"high\"","subtitle":"in Lyon"},"badge":0,"sound":{"critical":1,"name":"a","volume":0.50},"thread-id":"vote"},"link":"https://example.com/Lyon","extra":[1,"",null]}`},
		"apns background": {silent, tocsin.APNs, "en", []string{"list", "a"},
			`{"aps":{"content-available":1},"data":{"sync":"a"}}`},
		"fcm": {election(), tocsin.FCM, "fr", []string{"city", "Lyon"},
			`"notification":{"title":"Résultats : Lyon","image":"https://example.com/fr.png"},"data":{"b":"2","edition":"3","link":"https://example.com/"},"android":{"priority":"HIGH","ttl":"3600s","notification":{"tag":"abc","sound":"default","notification_count":0}}`},
		"fcm overridden": {overridden, tocsin.FCM, "fr", []string{"city", "Lyon"},
			`"data":{"b":"2","edition":"3","link":"https://example.com/","title":"Lyon"},"android":{"priority":"HIGH","ttl":"5s"}`},
		"fcm data": {silent, tocsin.FCM, "", nil,
			`"data":{"sync":""},"android":{"priority":"NORMAL","ttl":"3600s"}`},
		"webpush": {election(), tocsin.WebPush, "en", []string{"city", "Lyon"},
			`{"web_push":8030,"notification":{"title":"Results for Lyon","navigate":"https://example.com/Lyon","body":"Turnout is \"high\"","lang":"en","tag":"abc","app_badge":"0","data":{"b":"2","edition":"3"}}}`},
		"webpush overridden": {overridden, tocsin.WebPush, "fr", nil,
			`{"web_push":8030,"notification":{"title":"Résultats : France","navigate":"https://example.com/","tag":"abc","image":"https://example.com/fr.png","app_badge":"0","data":{"b":"2","edition":"3"},"actions":[{"action":"a","title":"Open","navigate":"/"}]},"mutable":true}`},
		"webpush data": {silent, tocsin.WebPush, "en", nil, `{"data":{"sync":""}}`},
	} {
		t.Run(name, func(t *testing.T) {
			v := compile(t, c.message).Variant(c.provider, c.language)
			if have := render(t, v, c.values...); have != c.want {
				t.Errorf("have %s\nwant %s", have, c.want)
			}
		})
	}
}

func TestVariantTellsHeaders(t *testing.T) {
	loud, silent := compile(t, election()), compile(t, &record.Message{Data: map[string]string{"a": "b"}})
	normal := election()
	normal.Priority = PriorityNormal
	if v := loud.Variant(tocsin.APNs, "fr-be"); v.Background() || !v.Urgent() || v.Language() != "fr" {
		t.Error("a message with a text is shown at once")
	}
	if v := silent.Variant(tocsin.APNs, ""); !v.Background() || v.Urgent() {
		t.Error("APNs refuses priority 10 for a background push")
	}
	if v := silent.Variant(tocsin.FCM, ""); v.Background() || !v.Urgent() {
		t.Error("a data message keeps its priority on FCM")
	}
	if compile(t, normal).Variant(tocsin.APNs, "").Urgent() {
		t.Error("priority normal is not urgent")
	}
	if urgent, _ := Compile(normal, Meta{Urgent: true}); !urgent.Variant(tocsin.APNs, "").Urgent() {
		t.Error("an urgent send is urgent whatever the message says")
	}
	if loud.Variant(tocsin.Provider(9), "en") != nil {
		t.Error("an unknown provider has a variant")
	}
}

func TestConstant(t *testing.T) {
	c := compile(t, &record.Message{Languages: map[string]*record.Text{"en": {Title: "A { brace"}}})
	for _, p := range []tocsin.Provider{tocsin.APNs, tocsin.FCM, tocsin.WebPush} {
		v := c.Variant(p, "")
		whole, ok := v.Constant()
		if !ok || string(whole) != render(t, v) {
			t.Errorf("%s: constant %q, rendered %q", p, whole, render(t, v))
		}
	}
	if _, ok := compile(t, election()).Variant(tocsin.APNs, "en").Constant(); ok {
		t.Error("a personal payload is called constant")
	}
	if names := compile(t, election()).Names(); len(names) != 2 || names[0] != "city" || names[1] != "edition" {
		t.Error("names", names)
	}
}

func TestRefused(t *testing.T) {
	text := func(title string) *record.Message {
		return &record.Message{Languages: map[string]*record.Text{"fr": {Title: title}}}
	}
	with := func(change func(*record.Message)) *record.Message {
		m := election()
		change(m)
		return m
	}
	for _, c := range []struct {
		message *record.Message
		want    string // start of the error
	}{
		{&record.Message{}, "message.languages: nothing to send"},
		{text(""), "message.languages.fr.title: must not be empty"},
		{text("é{{ name"), "message.languages.fr.title: character 2: {{ without }}"},
		{text("{{ }}"), "message.languages.fr.title: character 4: want the name"},
		{text("{{ 'a' }}"), "message.languages.fr.title: character 4: want the name"},
		{text("a {% if x %}"), "message.languages.fr.title: character 3: tags such as {% if %}"},
		{text("{{- name }}"), "message.languages.fr.title: character 3: whitespace control"},
		{text("{{ name -}}"), "message.languages.fr.title: character 9: whitespace control"},
		{text("{{ user.name }}"), "message.languages.fr.title: character 8: parts of a value"},
		{text("{{ names[0] }}"), "message.languages.fr.title: character 9: parts of a value"},
		{text("{{ name | upcase }}"), `message.languages.fr.title: character 11: filter "upcase" is not supported`},
		{text("{{ name | default }}"), "message.languages.fr.title: character 19: want :"},
		{text("{{ name | default: x }}"), "message.languages.fr.title: character 20: want a text in quotes or a number"},
		{text("{{ name | default: 1.2.3 }}"), "message.languages.fr.title: character 20: want a text in quotes or a number"},
		{text("{{ name | default: 'x }}"), "message.languages.fr.title: character 21: the text has no closing '"},
		{text("{{ name | default: 'x' | upcase }}"), "message.languages.fr.title: character 24: one filter"},
		{text("{{ a b }}"), "message.languages.fr.title: character 6: want }}"},
		{with(func(m *record.Message) { m.Fallback = "" }), "message.fallback: say which"},
		{with(func(m *record.Message) { m.Fallback = "de" }), `message.fallback: "de" is not`},
		{with(func(m *record.Message) { m.Languages["FR"] = m.Languages["fr"] }), "message.languages.FR: want a BCP 47"},
		{with(func(m *record.Message) { m.Languages["fr"].Link = "JavaScript:alert(1)" }), "message.languages.fr.link: javascript: opens nothing"},
		{with(func(m *record.Message) { m.Languages["fr"].Link = "news" }), "message.languages.fr.link: want an absolute URL"},
		{with(func(m *record.Message) { m.Image = "http://a/b.png" }), "message.image: want an https URL"},
		{with(func(m *record.Message) { m.Badge = proto.Int32(-1) }), "message.badge: must not"},
		{with(func(m *record.Message) { m.Priority = 3 }), "message.priority: want"},
		{with(func(m *record.Message) { m.Data["google.a"] = "" }), "message.data.google.a: the key is reserved"},
		{with(func(m *record.Message) { m.Data["link"] = "" }), "message.data.link: the key is reserved"},
		{with(func(m *record.Message) { m.Data["b"] = "{{" }), "message.data.b: character 1: {{ without }}"},
		{with(func(m *record.Message) { m.Defaults["a b"] = "" }), `message.defaults: "a b" is not`},
		{with(func(m *record.Message) { m.Apns = []byte(`[]`) }), "message.apns: want a JSON object"},
		{with(func(m *record.Message) { m.Apns = []byte(`{"a":1,}`) }), "message.apns: not JSON"},
		{with(func(m *record.Message) { m.Apns = []byte(`{"a":1} 2`) }), "message.apns: not JSON"},
		{with(func(m *record.Message) { m.Apns = []byte(`{"a":{"b":1,"b":2}}`) }), "message.apns.a.b: the key is there twice"},
		{with(func(m *record.Message) {
			m.Apns = []byte(`{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`)
		}), "message.apns.a[0]"},
		{with(func(m *record.Message) { m.Apns = []byte(`{"a":["{{ x"]}`) }), "message.apns.a[0]: character 1: {{ without }}"},
		{with(func(m *record.Message) { m.Apns = []byte(`{"{{ x }}":1}`) }), "message.apns.{{ x }}: a key is not a template"},
		{with(func(m *record.Message) { m.Apns = []byte(`{"aps":1}`) }), "message.apns.aps: want a JSON object"},
		{with(func(m *record.Message) { m.Apns = []byte(`{"aps":{"alert":null,"badge":null,"sound":null}}`) }), "message.apns.aps: nothing is left"},
		{with(func(m *record.Message) {
			m.Apns = []byte(`{"aps":{"alert":null,"badge":null,"sound":null,"category":"a"}}`)
		}), "message.apns.aps: without alert"},
		{with(func(m *record.Message) { m.Fcm = []byte(`{"token":"a"}`) }), "message.fcm.token: the recipient"},
		{with(func(m *record.Message) { m.Fcm = []byte(`{"data":{"a":1}}`) }), "message.fcm.data.a: FCM takes texts only"},
		{with(func(m *record.Message) { m.Fcm = []byte(`{"android":{"data":{"a":true}}}`) }), "message.fcm.android.data.a: FCM takes texts only"},
		{with(func(m *record.Message) { m.Webpush = []byte(`{"notification":null,"web_push":null}`) }), "message.webpush: nothing is left"},
	} {
		_, err := Compile(c.message, meta)
		if known := (*Error)(nil); !errors.As(err, &known) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("have %v\nwant %s", err, c.want)
		}
	}
	if _, err := Compile(election(), Meta{Collapse: "a b"}); err == nil {
		t.Error("a tag outside the base64url alphabet is taken")
	}
}

func TestLanguages(t *testing.T) {
	c := compile(t, &record.Message{Fallback: "en", Languages: map[string]*record.Text{
		"en": {Title: "en"}, "fr": {Title: "fr"}, "fr-ca": {Title: "fr-ca"}, "zh-hant": {Title: "zh-hant"}, "de-x": {Title: "de-x"}, "de": {Title: "de"},
	}})
	for language, want := range map[string]string{
		"": "en", "it": "en", "fr": "fr", "fr-CA": "fr-ca", "fr_ca": "fr-ca", "fr-be": "fr", "fr-ca-quebec": "fr-ca",
		"zh-hant-tw": "zh-hant", "zh": "en", "de-x-private": "de", "-": "en", "frr": "en",
	} {
		if have := c.Variant(tocsin.APNs, language).Language(); have != want {
			t.Errorf("%q: have %s, want %s", language, have, want)
		}
	}
}

func TestCollapse(t *testing.T) {
	a, b := tocsin.ProjectID{1}, tocsin.SendID{1}
	tag := Collapse(a, b)
	if tag == Collapse(a, tocsin.SendID{2}) || tag == Collapse(tocsin.ProjectID{2}, b) || tag != Collapse(a, b) {
		t.Error("a tag is a function of project and send, and of both")
	}
	if _, err := Compile(election(), Meta{Collapse: tag}); err != nil {
		t.Error(err)
	}
}
