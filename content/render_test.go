package content

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

var providers = []tocsin.Provider{tocsin.APNs, tocsin.FCM, tocsin.WebPush}

// whole is a payload as a whole JSON object.
func whole(p tocsin.Provider, payload []byte) []byte {
	if p == tocsin.FCM {
		return []byte("{" + string(payload) + "}")
	}
	return payload
}

// titleOf reads the title back as a provider would.
func titleOf(t interface{ Fatalf(string, ...any) }, p tocsin.Provider, payload []byte) string {
	var read struct {
		Aps          struct{ Alert struct{ Title string } }
		Notification struct{ Title string }
	}
	if err := json.Unmarshal(whole(p, payload), &read); err != nil {
		t.Fatalf("%s: %v in %q", p, err, payload)
	}
	if !utf8.Valid(payload) {
		t.Fatalf("%s: not UTF-8: %q", p, payload)
	}
	return read.Aps.Alert.Title + read.Notification.Title
}

// asJSON is what remains of a text in JSON: each byte that is not UTF-8
// becomes U+FFFD.
func asJSON(text string) string { return string([]rune(text)) }

func FuzzPayloadIsJSON(f *testing.F) {
	f.Add("Hello \" \\ \x00", "Zoé\xff\u2028", `{"a":["{{ v }}",{"b":1e9}]}`)
	f.Add("a", "\xed\xa0\x80\x7f\r\n\t", `{"aps":null}`)
	f.Fuzz(func(t *testing.T, title, value, override string) {
		m := &record.Message{
			Languages: map[string]*record.Text{"en": {Title: title + "{{ v }}", Link: "https://a/{{ v }}", Body: "{{v|default:'x'}}"}},
			Data:      map[string]string{"k": "{{ v }}", title + "x": value},
		}
		if override != "" {
			m.Apns, m.Webpush = []byte(override), []byte(override)
		}
		c, err := Compile(m, meta)
		if err != nil {
			return
		}
		for _, p := range providers {
			payload, err := c.Variant(p, "en").Append(nil, values("v", value))
			if err == nil && !json.Valid(whole(p, payload)) {
				t.Errorf("%s: %q", p, payload)
			}
		}
	})
}

func TestTextComesThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// A template of literals and outputs, and by its side what it must show.
		known := map[string]string{}
		defaults := map[string]string{"d": anyText.Draw(t, "default")}
		template, want := "", ""
		for range rapid.IntRange(1, 5).Draw(t, "pieces") {
			literal := strings.NewReplacer("{{", "", "{%", "").Replace(anyText.Draw(t, "literal"))
			literal = strings.TrimRight(literal, "{")
			name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name")
			if _, ok := known[name]; !ok && rapid.Bool().Draw(t, "is known") {
				known[name] = anyText.Draw(t, "value")
			}
			template += literal + fmt.Sprintf("{{ %s }}", name)
			shown := known[name]
			if shown == "" {
				shown = defaults[name]
			}
			want += asJSON(literal) + asJSON(shown)
			// What stands before is settled: a name drawn again keeps its value.
			if _, ok := known[name]; !ok {
				known[name] = ""
			}
		}
		c, err := Compile(&record.Message{Languages: map[string]*record.Text{"en": {Title: template}}, Defaults: defaults}, meta)
		if err != nil {
			t.Fatalf("%v in %q", err, template)
		}
		for _, p := range providers {
			payload, err := c.Variant(p, "").Append([]byte("before"), func(name string) (string, bool) {
				value, ok := known[name]
				return value, ok
			})
			if err != nil {
				t.Fatalf("%s: %v", p, err)
			}
			if have := titleOf(t, p, payload[len("before"):]); have != want {
				t.Fatalf("%s: template %q shows %q, want %q", p, template, have, want)
			}
		}
	})
}

var anyText = rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) }))

// A rendering comes whole and within the limit, or not at all.
func TestSize(t *testing.T) {
	limits := map[tocsin.Provider]int{tocsin.APNs: 4096, tocsin.FCM: 4096, tocsin.WebPush: 3993}
	c := compile(t, &record.Message{Languages: map[string]*record.Text{"en": {Title: "{{ a }}", Body: "{{ b }}x"}}})
	for _, p := range providers {
		v := c.Variant(p, "en")
		empty := len(render(t, v))
		rapid.Check(t, func(t *rapid.T) {
			room := limits[p] - empty
			first := rapid.IntRange(0, room+20).Draw(t, "first")
			second := max(room-first+rapid.IntRange(-3, 3).Draw(t, "second"), 0)
			payload, err := v.Append([]byte("kept"), values("a", strings.Repeat("é", first/2)+strings.Repeat("a", first%2), "b", strings.Repeat("\n", second/2)+strings.Repeat("b", second%2)))
			if fits := first+second <= room; fits != (err == nil) {
				t.Fatalf("%s: %d bytes over or under: %v", p, first+second-room, err)
			}
			if err == nil && len(payload) != len("kept")+empty+first+second {
				t.Fatalf("%s: %d bytes", p, len(payload))
			}
			if err != nil && (!errors.Is(err, ErrSize) || string(payload) != "kept") {
				t.Fatalf("%s: %v, and %q comes back", p, err, payload)
			}
		})
	}
}

// A value of a megabyte costs nobody a buffer of a megabyte.
func TestLongValue(t *testing.T) {
	v := compile(t, election()).Variant(tocsin.APNs, "en")
	payload, err := v.Append(nil, values("city", strings.Repeat("\x00", 1<<20)))
	if !errors.Is(err, ErrSize) || cap(payload) > 1<<16 {
		t.Errorf("%v, buffer of %d bytes", err, cap(payload))
	}
}

func TestSizeOfDefaults(t *testing.T) {
	long := func(n int) *record.Message {
		return &record.Message{
			Fallback:  "en",
			Languages: map[string]*record.Text{"en": {Title: "a"}, "fr": {Title: "{{ a }}"}},
			Defaults:  map[string]string{"a": strings.Repeat("é", n)},
		}
	}
	if _, err := Compile(long(1900), meta); err != nil {
		t.Error(err)
	}
	want := "message.languages.fr: the webpush payload is 4004 bytes with default values, the limit is 3993"
	if _, err := Compile(long(1960), meta); err == nil || err.Error() != want {
		t.Errorf("have %v\nwant %s", err, want)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	c := compile(t, election())
	buffer := make([]byte, 0, 8192)
	value := values("city", "Saint-Étienne \"\x01\xff", "edition", "5")
	for _, p := range providers {
		if allocations := testing.AllocsPerRun(100, func() {
			var err error
			if buffer, err = c.Variant(p, "fr-ca").Append(buffer[:0], value); err != nil {
				t.Fatal(err)
			}
		}); allocations != 0 {
			t.Errorf("%s: %v allocations", p, allocations)
		}
	}
}

// merged is RFC 7396 section 2, over what encoding/json reads.
func merged(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result, ok := target.(map[string]any)
	if !ok {
		result = map[string]any{}
	}
	for key, value := range changes {
		if value == nil {
			delete(result, key)
		} else {
			result[key] = merged(result[key], value)
		}
	}
	return result
}

func TestOverrideIsAMergePatch(t *testing.T) {
	keys := rapid.SampledFrom([]string{"title", "body", "notification", "x", "y"})
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
			case kind == 0:
				return nil
			case kind == 1:
				return rapid.Float64Range(-1e6, 1e6).Draw(t, "number")
			case kind == 2:
				return rapid.StringMatching(`[a-z"\\é{ ]{0,5}x`).Draw(t, "text")
			case kind == 3 && depth > 0:
				return rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "array")
			case kind > 3 && depth > 0:
				return rapid.MapOfN(keys, value(depth-1), 0, 4).Draw(t, "object")
			}
			return true
		})
	}
	m := &record.Message{Languages: map[string]*record.Text{"en": {Title: "a", Body: "b"}}}
	plain, _ := compile(t, m).Variant(tocsin.WebPush, "en").Constant()
	rapid.Check(t, func(t *rapid.T) {
		patch := rapid.MapOfN(keys, value(3), 0, 4).Draw(t, "patch")
		patch["kept"] = true
		m := &record.Message{Languages: m.Languages}
		m.Webpush, _ = json.Marshal(patch)
		if strings.Contains(string(m.Webpush), "{{") {
			return
		}
		var target, have any
		json.Unmarshal(plain, &target)
		c, err := Compile(m, meta)
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := c.Variant(tocsin.WebPush, "en").Constant()
		if err := json.Unmarshal(payload, &have); err != nil {
			t.Fatalf("%v in %s", err, payload)
		}
		if want := merged(target, any(patch)); !reflect.DeepEqual(have, want) {
			t.Fatalf("have %s\nwant %v", payload, want)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	c, err := Compile(election(), meta)
	if err != nil {
		b.Fatal(err)
	}
	v, buffer, value := c.Variant(tocsin.APNs, "en"), make([]byte, 0, 4096), values("city", "Saint-Étienne", "edition", "5")
	for b.Loop() {
		buffer, _ = v.Append(buffer[:0], value)
	}
}
