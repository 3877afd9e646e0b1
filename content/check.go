package content

import (
	"net/url"
	"slices"
	"strings"

	"github.com/tocsin-push/tocsin/record"
)

// check looks at what does not depend on the provider. Templates and sizes are
// looked at when the payloads are built.
func check(m *record.Message, meta Meta) error {
	if len(meta.Collapse) > 32 || strings.Trim(meta.Collapse, base64url) != "" {
		return refuse("collapse", "want at most 32 characters of the base64url alphabet")
	}
	if len(m.Languages) == 0 {
		if len(m.Data) == 0 && len(m.Apns)+len(m.Fcm)+len(m.Webpush) == 0 {
			return refuse("message.languages", "nothing to send: give a language, data or an override")
		}
		if m.Fallback != "" {
			return refuse("message.fallback", "the message has no language")
		}
		return checkShared(m)
	}
	if m.Fallback == "" && len(m.Languages) > 1 {
		return refuse("message.fallback", "say which of the languages is used where none fits")
	}
	if m.Fallback != "" && m.Languages[m.Fallback] == nil {
		return refuse("message.fallback", "%q is not among the languages", m.Fallback)
	}
	for _, tag := range languages(m) {
		path := "message.languages." + tag
		if !isTag(tag) {
			return refuse(path, "want a BCP 47 language tag in lower case, such as fr or fr-ca")
		}
		text := m.Languages[tag]
		if text.GetTitle() == "" {
			return refuse(path+".title", "must not be empty")
		}
		if err := checkLinks(path, text.Link, text.Image); err != nil {
			return err
		}
	}
	return checkShared(m)
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func checkShared(m *record.Message) error {
	if m.Priority > PriorityNormal {
		return refuse("message.priority", "want %d (high) or %d (normal)", PriorityHigh, PriorityNormal)
	}
	if m.Badge != nil && *m.Badge < 0 {
		return refuse("message.badge", "must not be negative; 0 clears it")
	}
	if _, ok := m.Data[""]; ok {
		return refuse("message.data", "a key is empty")
	}
	for _, key := range sortedKeys(m.Data) {
		// FCM keeps these for itself, and "link" is where a link goes.
		switch {
		case key == "from", strings.HasPrefix(key, "google"), key == "gcm", strings.HasPrefix(key, "gcm."):
			return refuse("message.data."+key, "the key is reserved by FCM")
		case key == "link":
			return refuse("message.data.link", "the key is reserved: use message.link")
		}
	}
	for _, name := range sortedKeys(m.Defaults) {
		if !isName(name) {
			return refuse("message.defaults", "%.40q is not a name that a template can use", name)
		}
	}
	return checkLinks("message", m.Link, m.Image)
}

// checkLinks looks at addresses that are the same for everybody; what a
// template output makes of one is not known here.
func checkLinks(path, link, image string) error {
	if link != "" && !strings.Contains(link, "{{") {
		u, err := url.Parse(link)
		if err != nil || u.Scheme == "" {
			return refuse(path+".link", "want an absolute URL, such as https://example.com/news or app://news")
		}
		switch u.Scheme { // url.Parse made it lower case
		case "javascript", "data", "vbscript", "file", "blob":
			return refuse(path+".link", "%s: opens nothing that a push may open", u.Scheme)
		}
	}
	if image != "" && !strings.Contains(image, "{{") {
		if u, err := url.Parse(image); err != nil || u.Scheme != "https" || u.Host == "" {
			return refuse(path+".image", "want an https URL")
		}
	}
	return nil
}

// isTag reports whether a text looks like a BCP 47 tag in lower case.
func isTag(tag string) bool {
	for i, subtag := range strings.Split(tag, "-") {
		if len(subtag) < 1 || len(subtag) > 8 || i == 0 && len(subtag) < 2 {
			return false
		}
		if strings.Trim(subtag, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return true
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
