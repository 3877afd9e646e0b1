package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/schollz/progressbar/v3"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

type imports struct {
	upload
	Events bool `help:"The lines are events: what people did; NDJSON only."`
}

func (c *imports) Run(s *session) error {
	return c.send(s, "tocsin import", func(api *client.Client, r client.ImportRequest) (client.Import, error) {
		if c.Events {
			return api.OpenEventImport(s.ctx, r)
		}
		return api.OpenImport(s.ctx, r)
	})
}

// upload is the stream of an import, from a file.
type upload struct {
	remote
	File   string          `arg:"" help:"NDJSON or CSV file." type:"existingfile"`
	Format string          `help:"ndjson or csv; by the file's name when absent." enum:"ndjson,csv," default:""`
	Resume tocsin.ImportID `help:"Go on with one that broke off." placeholder:"ID"`

	confirm bool
}

// send sends the file to an import that it opens, or to the one that is to go on,
// as the command would.
func (c *upload) send(s *session, command string, begin func(*client.Client, client.ImportRequest) (client.Import, error)) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if c.Format == "" {
		c.Format = client.NDJSON
		if strings.HasSuffix(strings.ToLower(c.File), ".csv") {
			c.Format = client.CSV
		}
	}
	var open client.Import
	if c.Resume.IsZero() {
		open, err = begin(api, client.ImportRequest{Format: c.Format, Name: info.Name()})
	} else {
		open, err = api.GetImport(s.ctx, c.Resume)
		open.Confirm = c.confirm
	}
	if err != nil {
		return err
	}
	bar := progressbar.NewOptions64(info.Size(), progressbar.OptionSetWriter(s.err), progressbar.OptionSetVisibility(terminal(s.err)), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("import"), progressbar.OptionClearOnFinish())
	done, err := api.Upload(s.ctx, open, file, func(sent int64) { bar.Set64(sent) })
	bar.Finish()
	if errors.Is(err, client.ErrInvalid) || open.Status == client.ImportFinished {
		return err // as it would be the next time
	}
	if err != nil {
		next := fmt.Sprintf("Go on with: %s --resume %s %s", command, open.ID, quoted(c.File))
		if p := new(client.Problem); errors.As(err, &p) && p.Code == "confirm" {
			next = fmt.Sprintf("If it is the right file: %s --confirm --resume %s %s", command, open.ID, quoted(c.File))
		}
		return &unfinished{err, next}
	}
	err = c.print(s, done, func(w io.Writer) {
		fmt.Fprintf(w, "%s  imported %d of %d lines, %d bad\n", done.ID, done.Imported, done.Lines, done.Bad)
		for _, bad := range done.BadLines {
			fmt.Fprintf(w, "  line %d: %s\n", bad.Line, bad)
		}
	})
	if err == nil && done.Bad > 0 {
		err = fmt.Errorf("%d lines were not imported", done.Bad)
	}
	return err
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/._-+", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
