package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// remote is what every command has that talks to a node.
type remote struct {
	URL     string           `help:"Address of the node." env:"TOCSIN_URL" default:"http://127.0.0.1:8080"`
	Key     string           `help:"API key, or @FILE that holds it." env:"TOCSIN_KEY" placeholder:"KEY" name:"key"`
	Project tocsin.ProjectID `help:"Project to act for, with a key of the platform." env:"TOCSIN_PROJECT" placeholder:"ID"`
	JSON    bool             `help:"Print the result as JSON." name:"json"`
}

// client connects to the node with the key given, or with the one in a file.
func (r *remote) client() (*client.Client, error) {
	key := r.Key
	if name, ok := strings.CutPrefix(key, "@"); ok {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		key = strings.TrimSpace(string(text))
	}
	c, err := client.New(client.Config{URL: r.URL, Key: key, Project: r.Project})
	if err != nil {
		return nil, fmt.Errorf("%w: --url: %w", errUsage, err)
	}
	return c, nil
}

// print writes a result: as JSON, or as the lines that text makes of it.
func (r *remote) print(s *session, result any, text func(io.Writer)) error {
	if !r.JSON {
		text(s.out)
		return nil
	}
	encoder := json.NewEncoder(s.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// readJSON reads a file, or the text itself when it begins with a brace.
func readJSON(fileOrText string, into any) error {
	text := []byte(fileOrText)
	if !strings.HasPrefix(strings.TrimSpace(fileOrText), "{") {
		var err error
		if text, err = os.ReadFile(fileOrText); err != nil {
			return err
		}
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%w: %.80s: %w", errUsage, fileOrText, err)
	}
	return nil
}
