package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
)

// maxEvent bounds one server-sent event.
const maxEvent = 4 << 20

// watch follows a stream of server-sent events and yields what they hold. A
// stream that broke off is opened again, up to the client's number of retries
// in a row without an event; the last yield then has the error.
func watch[T any](ctx context.Context, c *Client, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for try := 0; ; try++ {
			done, progress, err := follow(ctx, c, path, yield)
			if done {
				return
			}
			if progress {
				try = 0
			}
			if try >= c.retries || !worthRepeating(err) || ctx.Err() != nil {
				var none T
				yield(none, err)
				return
			}
			if err := sleep(ctx, pause(try, err)); err != nil {
				var none T
				yield(none, err)
				return
			}
		}
	}
}

// follow reads one connection. done: the stream said that it ended, or the
// reader stopped.
func follow[T any](ctx context.Context, c *Client, path string, yield func(T, error) bool) (done, progress bool, err error) {
	response, err := c.open(ctx, http.MethodGet, path, nil, http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		return false, false, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxEvent)
	name, data := "", ""
	for lines.Scan() {
		switch line := lines.Text(); {
		case line == "" && data != "":
			var value T
			if err := json.Unmarshal([]byte(data), &value); err != nil {
				return false, progress, err
			}
			progress = true
			if !yield(value, nil) || name == "end" {
				return true, true, nil
			}
			name, data = "", ""
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data += line[len("data: "):]
		}
	}
	if err := lines.Err(); err != nil {
		return false, progress, err
	}
	return false, progress, errors.Join(io.ErrUnexpectedEOF, ctx.Err())
}
