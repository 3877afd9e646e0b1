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
	remote
	File   string          `arg:"" help:"NDJSON or CSV file; NDJSON of events." type:"existingfile"`
	Format string          `help:"ndjson or csv; by the file's name when absent." enum:"ndjson,csv," default:""`
	Events bool            `help:"The lines are events: what people did."`
	Resume tocsin.ImportID `help:"Go on with an import that broke off." placeholder:"ID"`
}

func (c *imports) Run(s *session) error {
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
	switch request := (client.ImportRequest{Format: c.Format, Name: info.Name()}); {
	case !c.Resume.IsZero():
		open, err = api.GetImport(s.ctx, c.Resume)
	case c.Events:
		open, err = api.OpenEventImport(s.ctx, request)
	default:
		open, err = api.OpenImport(s.ctx, request)
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
		return &unfinished{err, fmt.Sprintf("Go on with: tocsin import --resume %s %s", open.ID, quoted(c.File))}
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
