package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tocsin-push/tocsin"
)

// OpenImport opens an import whose stream Upload sends.
func (c *Client) OpenImport(ctx context.Context, r ImportRequest) (i Import, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/imports", body: r, once: true}, &i)
	return i, err
}

// GetImport reads how far an import is, with its bad lines.
func (c *Client) GetImport(ctx context.Context, id tocsin.ImportID) (i Import, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: importPath(id)}, &i)
	return i, err
}

func importPath(id tocsin.ImportID) string { return "/v1/imports/" + id.String() }

// Imports reads a page of imports older than one, newest first.
func (c *Client) Imports(ctx context.Context, before tocsin.ImportID, limit int) (i Imports, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/imports", query: paging("before", before.String(), limit)}, &i)
	return i, err
}

// WatchImport yields an import whenever it has moved, until it is finished.
func (c *Client) WatchImport(ctx context.Context, id tocsin.ImportID) iter.Seq2[Import, error] {
	return watch[Import](ctx, c, importPath(id)+"/events")
}

// Upload sends the stream of an import from its durable offset on, and goes
// on from there when the connection breaks. progress, when not nil, hears how
// many bytes of the stream were sent. It returns the finished import.
func (c *Client) Upload(ctx context.Context, i Import, stream io.ReadSeeker, progress func(sent int64)) (Import, error) {
	for try := 0; ; try++ {
		before := i.Offset
		out, err := c.uploadFrom(ctx, i, stream, progress)
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil || !canGoOn(err) {
			return i, err
		}
		if try >= c.retries {
			return i, err
		}
		if err := sleep(ctx, pause(try, err)); err != nil {
			return i, err
		}
		now, err := c.GetImport(ctx, i.ID)
		if err != nil {
			return i, err
		}
		if now.Status == ImportFinished {
			return now, nil
		}
		now.Confirm = i.Confirm
		if i = now; i.Offset > before {
			try = 0
		}
	}
}

// canGoOn: the connection broke, or the server still reads the stream before
// this one, or is elsewhere than we thought.
func canGoOn(err error) bool {
	var p *Problem
	if !errors.As(err, &p) {
		return !errors.Is(err, errStream)
	}
	return worthRepeating(err) || p.Code == "running" || p.Code == "offset" || p.Code == "broken"
}

var errStream = errors.New("client: the stream to import")

func (c *Client) uploadFrom(ctx context.Context, i Import, stream io.ReadSeeker, progress func(int64)) (out Import, err error) {
	// A stream that is shorter than what was imported is another one: its end
	// would end the import.
	end, err := stream.Seek(0, io.SeekEnd)
	if err == nil && end < i.Offset {
		err = fmt.Errorf("%d bytes are imported and it has %d: it is not the one that broke off", i.Offset, end)
	}
	if err == nil {
		_, err = stream.Seek(i.Offset, io.SeekStart)
	}
	if err != nil {
		return out, fmt.Errorf("%w: %w", errStream, err)
	}
	header := http.Header{"Content-Type": {"application/x-ndjson"}}
	if i.Format == CSV {
		header.Set("Content-Type", "text/csv")
	}
	counted := &counter{in: stream, sent: i.Offset, hear: progress}
	query := url.Values{"offset": {strconv.FormatInt(i.Offset, 10)}}
	if i.Confirm {
		query.Set("confirm", "true")
	}
	response, err := c.open(ctx, http.MethodPost, importPath(i.ID)+"/data", query, header, counted)
	if err != nil {
		if counted.failed != nil {
			return out, fmt.Errorf("%w: %w", errStream, counted.failed)
		}
		return out, err
	}
	defer response.Body.Close()
	return out, decode(response.Body, &out)
}

// counter counts what was sent, and tells a stream that cannot be read from a
// connection that broke.
type counter struct {
	in     io.Reader
	sent   int64
	hear   func(int64)
	failed error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.sent += int64(n)
	if err != nil && err != io.EOF {
		c.failed = err
	}
	if c.hear != nil {
		c.hear(c.sent)
	}
	return n, err
}
