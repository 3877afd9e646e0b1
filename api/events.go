package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// heartbeat keeps proxies from closing a stream on which nothing happens.
const heartbeat = 15 * time.Second

// writeEvents writes "state" events, and "end" as the last one's name. A
// client that comes back simply gets the present state.
func (s *Server) writeEvents(ctx context.Context, w http.ResponseWriter, look func(context.Context) (any, bool, error)) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	tick := time.NewTicker(s.Poll)
	defer tick.Stop()
	var last []byte
	wrote := time.Now()
	for {
		value, end, err := look(ctx)
		if err != nil {
			// The client reconnects and is told then what is wrong.
			if ctx.Err() == nil {
				s.log(ctx).Warn("event stream broke off", "error", err)
			}
			return
		}
		data, err := json.Marshal(value)
		if err != nil {
			s.log(ctx).Error("event stream broke off", "error", err)
			return
		}
		name := "state"
		if end {
			name = "end"
		}
		text := ""
		switch {
		case end || !bytes.Equal(data, last):
			text = fmt.Sprintf("event: %s\ndata: %s\n\n", name, data)
		case time.Since(wrote) > heartbeat:
			text = ": still here\n\n"
		}
		if text != "" {
			last, wrote = data, time.Now()
			out.SetWriteDeadline(time.Now().Add(s.BodyTime))
			if _, err := w.Write([]byte(text)); err != nil {
				return
			}
			if err := out.Flush(); err != nil || end {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
