package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// completion prints a script for bash.
type completion struct{}

func (c *completion) Run(s *session) error { return writeCompletion(s.out, s.model.Node) }

// writeCompletion writes a function that finds the command in the words of a
// command line so far, and offers what may follow: commands and flags.
func writeCompletion(w io.Writer, root *kong.Node) error {
	var steps, known strings.Builder
	complete(&steps, &known, root, "")
	_, err := fmt.Fprintf(w, `_tocsin() {
  local path= known= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path ${COMP_WORDS[i]}" in
%s    esac
  done
  case "$path" in
%s  esac
  COMPREPLY=($(compgen -W "$known" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _tocsin tocsin
`, &steps, &known)
	return err
}

// complete adds the cases of a command and of those below it: how a command
// line gets there, and what may follow.
func complete(steps, known *strings.Builder, n *kong.Node, path string) {
	words := []string{"--help"}
	for _, flag := range n.Flags {
		if flag.Name != "help" {
			words = append(words, "--"+flag.Name)
		}
	}
	for _, child := range n.Children {
		words = append(words, child.Name)
	}
	fmt.Fprintf(known, "    %q) known=%q;;\n", path, strings.Join(words, " "))
	for _, child := range n.Children {
		below := path + " " + child.Name
		fmt.Fprintf(steps, "      %q) path=%q;;\n", below, below)
		complete(steps, known, child, below)
	}
}
