package content

import (
	"strings"
	"unicode/utf8"
)

// part is a stretch of constant text and the output that follows it. The last
// part of a template may have no output.
type part struct {
	literal  []byte // escaped for JSON
	name     string // of the output; empty is none
	fallback []byte // escaped for JSON; written where the value is missing or empty
}

// parse cuts a template into parts. defaults are the message's.
func parse(path, source string, defaults map[string]string) ([]part, error) {
	var parts []part
	rest := source
	for {
		at := strings.IndexByte(rest, '{')
		for at >= 0 && (at+1 == len(rest) || rest[at+1] != '{' && rest[at+1] != '%') {
			next := strings.IndexByte(rest[at+1:], '{')
			if next < 0 {
				at = -1
				break
			}
			at += 1 + next
		}
		if at < 0 {
			return append(parts, part{literal: appendEscaped(nil, rest)}), nil
		}
		s := scanner{path: path, source: source, at: len(source) - len(rest) + at}
		if rest[at+1] == '%' {
			return nil, s.refuse("tags such as {%% if %%} are not supported, only outputs such as {{ name }}")
		}
		p := part{literal: appendEscaped(nil, rest[:at])}
		if err := s.output(&p, defaults); err != nil {
			return nil, err
		}
		parts = append(parts, p)
		rest = source[s.at:]
	}
}

// scanner reads one output of a template.
type scanner struct {
	path, source string
	at           int
}

// refuse names the position as people count: in characters, from 1.
func (s *scanner) refuse(format string, args ...any) error {
	args = append([]any{utf8.RuneCountInString(s.source[:s.at]) + 1}, args...)
	return refuse(s.path, "character %d: "+format, args...)
}

func (s *scanner) blanks() {
	for s.at < len(s.source) && strings.IndexByte(" \t\r\n", s.source[s.at]) >= 0 {
		s.at++
	}
}

// take moves over the text and reports whether it was there.
func (s *scanner) take(text string) bool {
	if !strings.HasPrefix(s.source[s.at:], text) {
		return false
	}
	s.at += len(text)
	return true
}

// output = "{{" name [ "|" "default" ":" ( string | number ) ] "}}"
func (s *scanner) output(p *part, defaults map[string]string) error {
	open := *s
	s.at += len("{{")
	if strings.HasPrefix(s.source[s.at:], "-") {
		return s.refuse("whitespace control is not supported: write {{ without the hyphen")
	}
	if !strings.Contains(s.source[s.at:], "}}") {
		return open.refuse("{{ without }}")
	}
	s.blanks()
	p.name = s.word()
	if p.name == "" {
		return s.refuse("want the name of an attribute, such as {{ first_name }}")
	}
	p.fallback = appendEscaped(nil, defaults[p.name])
	s.blanks()
	if s.take("|") {
		text, err := s.standard()
		if err != nil {
			return err
		}
		p.fallback = appendEscaped(nil, text)
		s.blanks()
	}
	if s.take("}}") {
		return nil
	}
	switch {
	case strings.HasPrefix(s.source[s.at:], "-}}"):
		return s.refuse("whitespace control is not supported: write }} without the hyphen")
	case strings.HasPrefix(s.source[s.at:], "|"):
		return s.refuse("one filter at most")
	case strings.HasPrefix(s.source[s.at:], "."), strings.HasPrefix(s.source[s.at:], "["):
		return s.refuse("parts of a value are not supported, only names such as {{ first_name }}")
	}
	return s.refuse("want }} or | default: \"...\"")
}

// standard reads the filter default and its argument.
func (s *scanner) standard() (string, error) {
	s.blanks()
	before := *s
	if filter := s.word(); filter != "default" {
		return "", before.refuse("filter %.40q is not supported, only default", filter)
	}
	s.blanks()
	if !s.take(":") {
		return "", s.refuse("want : and a value after default")
	}
	s.blanks()
	for _, quote := range []string{`"`, `'`} {
		if !s.take(quote) {
			continue
		}
		length := strings.Index(s.source[s.at:], quote)
		if length < 0 {
			return "", s.refuse("the text has no closing %s", quote)
		}
		text := s.source[s.at : s.at+length]
		s.at += length + 1
		return text, nil
	}
	text := s.source[s.at:]
	text = text[:len(text)-len(strings.TrimLeft(text, "-.0123456789"))]
	if !isNumber(text) {
		return "", s.refuse("want a text in quotes or a number after default:")
	}
	s.at += len(text)
	return text, nil
}

// word reads a name: a letter or _, then letters, digits, _ and -. A hyphen
// that ends the output belongs to no name.
func (s *scanner) word() string {
	from := s.at
	for s.at < len(s.source) && isNameByte(s.source[s.at], s.at == from) && !strings.HasPrefix(s.source[s.at:], "-}}") {
		s.at++
	}
	return s.source[from:s.at]
}

func isNameByte(b byte, first bool) bool {
	switch {
	case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b == '_':
		return true
	}
	return !first && (b >= '0' && b <= '9' || b == '-')
}

func isName(name string) bool {
	for i := range len(name) {
		if !isNameByte(name[i], i == 0) {
			return false
		}
	}
	return name != ""
}

// isNumber reports whether a text is a plain decimal number, as JSON has it
// but without an exponent.
func isNumber(text string) bool {
	whole, fraction, dot := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	return digits(whole) && (!dot || digits(fraction))
}
