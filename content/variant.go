package content

import (
	"errors"
	"strings"

	"github.com/tocsin-push/tocsin"
)

// ErrSize: the payload of this recipient is over the provider's limit.
var ErrSize = errors.New("content: rendered payload is over the provider's limit")

// Variant is the payload of one provider in one language.
type Variant struct {
	parts      []part // the last one alone may have no output
	limit      int
	language   string
	urgent     bool
	background bool
}

// compile builds the payload, lays the override over it and cuts it into parts.
func (v *Variant) compile(f *form, m *message) error {
	tree := f.build(m)
	if data := f.override(m.Message); len(data) > 0 {
		patch, err := decodeOverride(f.path, data)
		if err != nil {
			return err
		}
		tree.merge(patch)
	}
	if err := f.check(tree); err != nil {
		return err
	}
	v.limit, v.language, v.urgent = f.limit, m.language, m.urgent
	if f.provider == tocsin.APNs {
		v.background = isBackground(tree)
		v.urgent = v.urgent && !v.background // APNs refuses priority 10 for it
	}
	c := cutter{defaults: m.Defaults, literal: make([]byte, 0, 256)}
	var err error
	if f.braces {
		err = c.value(tree)
	} else {
		err = c.members(tree)
	}
	if err != nil {
		return err
	}
	v.parts = append(c.parts, part{literal: c.literal})
	size := 0
	for _, p := range v.parts {
		size += len(p.literal) + len(p.fallback)
	}
	if size > f.limit {
		path := "message"
		if m.language != "" {
			path += ".languages." + m.language
		}
		return refuse(path, "the %s payload is %d bytes with default values, the limit is %d", f.provider, size, f.limit)
	}
	return nil
}

// cutter writes a tree as JSON, cut where template outputs are.
type cutter struct {
	defaults map[string]string
	parts    []part
	literal  []byte // of the part being made
}

func (c *cutter) value(n *node) error {
	switch n.kind {
	case object:
		c.literal = append(c.literal, '{')
		if err := c.members(n); err != nil {
			return err
		}
		c.literal = append(c.literal, '}')
	case array:
		c.literal = append(c.literal, '[')
		for i, item := range n.items {
			if i > 0 {
				c.literal = append(c.literal, ',')
			}
			if err := c.value(item); err != nil {
				return err
			}
		}
		c.literal = append(c.literal, ']')
	case text:
		c.literal = append(c.literal, '"')
		if err := c.template(n); err != nil {
			return err
		}
		c.literal = append(c.literal, '"')
	default:
		c.literal = append(c.literal, n.text...)
	}
	return nil
}

func (c *cutter) members(n *node) error {
	for i, m := range n.members {
		if i > 0 {
			c.literal = append(c.literal, ',')
		}
		c.literal = append(appendQuoted(c.literal, m.key), ':')
		if err := c.value(m.value); err != nil {
			return err
		}
	}
	return nil
}

func (c *cutter) template(n *node) error {
	if !strings.Contains(n.text, "{{") && !strings.Contains(n.text, "{%") { // most have no output
		c.literal = appendEscaped(c.literal, n.text)
		return nil
	}
	parts, err := parse(n.path, n.text, c.defaults)
	for _, p := range parts {
		c.literal = append(c.literal, p.literal...)
		if p.name != "" {
			p.literal, c.literal = c.literal, nil
			c.parts = append(c.parts, p)
		}
	}
	return err
}

func (v *Variant) names() []string {
	var names []string
	for _, p := range v.parts[:len(v.parts)-1] {
		names = append(names, p.name)
	}
	return names
}

// Language is the tag of the text in it, empty in a message that shows nothing.
func (v *Variant) Language() string { return v.language }

// Urgent says which priority goes with the payload in headers.
func (v *Variant) Urgent() bool { return v.urgent }

// Background reports whether an APNs payload shows nothing, so that its push
// type is background.
func (v *Variant) Background() bool { return v.background }

// Constant returns the whole payload where it is the same for everybody. The
// caller must not change it.
func (v *Variant) Constant() ([]byte, bool) {
	if len(v.parts) > 1 {
		return nil, false
	}
	return v.parts[0].literal, true
}

// Append renders the payload of one recipient behind dst. value is asked for
// the recipient's value of a name; it may be asked twice for the same one. On
// ErrSize dst comes back as it was. Append allocates only to make dst larger,
// however long a value is by a few times the provider's limit at most.
func (v *Variant) Append(dst []byte, value func(name string) (string, bool)) ([]byte, error) {
	start := len(dst)
	end := start + v.limit
	for i := range v.parts {
		p := &v.parts[i]
		dst = append(dst, p.literal...)
		if p.name == "" {
			continue
		}
		// Escaping never makes a text shorter, so that one too long is not tried.
		if text, ok := value(p.name); !ok || text == "" {
			dst = append(dst, p.fallback...)
		} else if len(dst)+len(text) > end {
			return dst[:start], ErrSize
		} else {
			dst = appendEscaped(dst, text)
		}
		if len(dst) > end {
			return dst[:start], ErrSize
		}
	}
	if len(dst) > end {
		return dst[:start], ErrSize
	}
	return dst, nil
}
