package content

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// node is one value of a payload before it is cut into parts. Members keep
// their order, so that equal messages give equal bytes.
type node struct {
	kind    kind
	text    string // template of a text; JSON of a raw value
	path    string // where a text came from
	members []member
	items   []*node
}

type kind uint8

const (
	raw kind = iota
	text
	object
	array
)

type member struct {
	key   string
	value *node
}

// maxDepth bounds the nesting of overrides.
const maxDepth = 16

func rawNode(json string) *node            { return &node{kind: raw, text: json} }
func textNode(path, template string) *node { return &node{kind: text, path: path, text: template} }
func quoted(constant string) *node         { return rawNode(string(appendQuoted(nil, constant))) }
func objectNode() *node                    { return &node{kind: object, members: make([]member, 0, 4)} }

func appendQuoted(dst []byte, constant string) []byte {
	return append(appendEscaped(append(dst, '"'), constant), '"')
}

// get returns a member of an object, nil when there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := range n.members {
		if n.members[i].key == key {
			return n.members[i].value
		}
	}
	return nil
}

// set gives an object a member, in place of one of the same key.
func (n *node) set(key string, value *node) *node {
	for i := range n.members {
		if n.members[i].key == key {
			n.members[i].value = value
			return n
		}
	}
	n.members = append(n.members, member{key, value})
	return n
}

func (n *node) remove(key string) {
	for i := range n.members {
		if n.members[i].key == key {
			n.members = append(n.members[:i], n.members[i+1:]...)
			return
		}
	}
}

func (n *node) isNull() bool { return n.kind == raw && n.text == "null" }

// merge lays a patch over an object as RFC 7396 section 2 says.
func (n *node) merge(patch *node) {
	for _, m := range patch.members {
		switch {
		case m.value.isNull():
			n.remove(m.key)
		case m.value.kind == object:
			under := n.get(m.key)
			if under == nil || under.kind != object {
				under = objectNode()
				n.set(m.key, under)
			}
			under.merge(m.value)
		default:
			n.set(m.key, m.value)
		}
	}
}

// decodeOverride reads an override, which must be one JSON object.
func decodeOverride(path string, data []byte) (*node, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, refuse(path, "not JSON: %v", err)
	}
	d := decoder{json.NewDecoder(bytes.NewReader(whole))}
	d.UseNumber()
	n, err := d.value(path, 0)
	if err == nil && n.kind != object {
		return nil, refuse(path, "want a JSON object")
	}
	return n, err
}

type decoder struct{ *json.Decoder }

func (d decoder) value(path string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, refuse(path, "nested deeper than %d", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		n := &node{kind: array}
		if v == '{' {
			n.kind = object
		}
		for d.More() {
			if err := d.element(n, path, depth); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return n, err
	case string:
		return textNode(path, v), nil
	case json.Number:
		return rawNode(v.String()), nil
	case bool:
		return rawNode(fmt.Sprint(v)), nil
	}
	return rawNode("null"), nil
}

// element reads the next member of an object or item of an array.
func (d decoder) element(n *node, path string, depth int) error {
	if n.kind == array {
		item, err := d.value(fmt.Sprintf("%s[%d]", path, len(n.items)), depth+1)
		n.items = append(n.items, item)
		return err
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	key, _ := token.(string)
	path += "." + key
	if n.get(key) != nil {
		return refuse(path, "the key is there twice")
	}
	value, err := d.value(path, depth+1)
	if err != nil {
		return err
	}
	if strings.Contains(key, "{{") || strings.Contains(key, "{%") {
		return refuse(path, "a key is not a template")
	}
	n.set(key, value)
	return nil
}
