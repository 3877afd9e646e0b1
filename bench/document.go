package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A section of the document stands between two markers, which stay.
func markers(name string) (begin, end string) {
	return "<!-- bench " + name + " -->", "<!-- end of bench " + name + " -->"
}

// publish writes sections into a document and their pictures beside it. All
// markers must be there already: where a section stands is decided by hand.
func publish(file string, sections []*Section) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	document := string(text)
	for _, s := range sections {
		if document, err = replaceSection(document, s.Name, s.markdown()); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, c := range s.Charts {
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), c.File), []byte(c.svg()), 0o644); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(file, []byte(document), 0o644)
}

func replaceSection(document, name, body string) (string, error) {
	begin, end := markers(name)
	before, rest, found := strings.Cut(document, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", fmt.Errorf("no %s ... %s", begin, end)
	}
	return before + begin + "\n" + body + end + after, nil
}

// markdown is the section as the document holds it.
func (s *Section) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n```sh\n%s\n```\n\n", s.Title, s.Command)
	for _, text := range s.Text {
		fmt.Fprintf(&b, "%s\n\n", text)
	}
	for _, c := range s.Charts {
		fmt.Fprintf(&b, "![%s](%s)\n\n", c.Title, c.File)
	}
	for _, t := range append(s.Tables, s.judgements()...) {
		row := func(cells []string) {
			for i, cell := range cells {
				cells[i] = strings.ReplaceAll(strings.ReplaceAll(cell, "|", `\|`), "<", "&lt;")
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
		row(append([]string(nil), t.Head...))
		b.WriteString("|---" + strings.Repeat("|---:", len(t.Head)-1) + "|\n")
		for _, cells := range t.Rows {
			row(append([]string(nil), cells...))
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "Measured on %s.\n", s.conditions())
	return b.String()
}
