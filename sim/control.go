package sim

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
)

// routes is the control endpoint: plain HTTP, loopback, no key.
//
//	GET  /health
//	GET  /ledger?send=TAG          sums by provider; without send, of everything
//	GET  /ledger/records?send=TAG  every record; ?format=ndjson, else binary
//	GET  /sends                    tags seen
//	GET  /setup                    credentials of every project
//	GET  /totals                   connections, violations and the like
//	GET  /acks                     what real browsers said of their notifications
//	GET  /faults                   options by provider
//	POST /faults                   {"apns":{"shares":{"gone":0.01}}}: what is absent stays, but for then
//	POST /reset                    forget ledger, attempts and totals
func (s *Sim) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, r *http.Request) {
		write(w, s.ledger.Accounts(r.URL.Query().Get("send")))
	})
	mux.HandleFunc("GET /ledger/records", s.getRecords)
	mux.HandleFunc("GET /sends", func(w http.ResponseWriter, r *http.Request) {
		tags := s.names.all()
		slices.Sort(tags)
		write(w, tags)
	})
	mux.HandleFunc("GET /setup", func(w http.ResponseWriter, r *http.Request) { write(w, s.setup) })
	mux.HandleFunc("GET /totals", func(w http.ResponseWriter, r *http.Request) { write(w, s.Totals()) })
	mux.HandleFunc("GET /acks", func(w http.ResponseWriter, r *http.Request) { write(w, s.Acks()) })
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, r *http.Request) { write(w, s.options()) })
	mux.HandleFunc("POST /faults", s.postFaults)
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, r *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // an error is the peer's: it went away
}

func (s *Sim) getRecords(w http.ResponseWriter, r *http.Request) {
	send := r.URL.Query().Get("send")
	wanted := Hash(send)
	out := bufio.NewWriterSize(w, 1<<16)
	defer out.Flush()
	if r.URL.Query().Get("format") == "ndjson" {
		w.Header().Set("Content-Type", "application/x-ndjson")
		lines := json.NewEncoder(out)
		s.ledger.Each(func(r *Record) {
			if send == "" || r.Send == wanted {
				lines.Encode(r.line())
			}
		})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	s.ledger.Each(func(r *Record) {
		if send == "" || r.Send == wanted {
			b, _ := r.AppendBinary(out.AvailableBuffer())
			out.Write(b)
		}
	})
}

// recordLine is a record in NDJSON. Hashes are hexadecimal: a reader's numbers
// may not hold 64 bits.
type recordLine struct {
	At       time.Time       `json:"at"`
	Provider tocsin.Provider `json:"provider"`
	Token    string          `json:"token"`
	Send     string          `json:"send"`
	ID       string          `json:"id"`
	Status   uint16          `json:"status"`
	Attempt  uint8           `json:"attempt,omitempty"`
	Fault    Fault           `json:"fault,omitempty"`
}

func (r *Record) line() recordLine {
	return recordLine{time.Unix(0, r.At).UTC(), r.Provider, fmt.Sprintf("%016x", r.Token), fmt.Sprintf("%016x", r.Send),
		hex.EncodeToString(r.ID[:]), r.Status, r.Attempt, r.Fault}
}

func (s *Sim) options() map[tocsin.Provider]Options {
	all := make(map[tocsin.Provider]Options)
	for _, v := range s.services {
		all[v.provider] = v.rules.Load().Options
	}
	return all
}

func (s *Sim) postFaults(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	all := s.options()
	changed, err := mergeFaults(all, text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, p := range changed {
		if err := s.SetOptions(p, all[p]); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	write(w, s.options())
}

// Totals are the counts of one provider over all its connections.
type Totals struct {
	Connections int64 `json:"connections"`
	Violations  int64 `json:"violations"` // connections ended for the peer's error
	Refused     int64 `json:"refused"`    // streams above the advertised limit
	Checked     int64 `json:"checked"`    // bodies parsed or decrypted as a whole
	Malformed   int64 `json:"malformed"`  // of those, not understood
	Stale       int64 `json:"stale"`      // pushes past their own expiration
	Handshakes  int64 `json:"handshakes"` // failed
	GoAways     int64 `json:"goaways"`    // sent because a period was over
	Resets      int64 `json:"resets"`     // connections reset likewise
	Silent      int64 `json:"silent"`     // connections that went dead
}

// Totals returns them by provider.
func (s *Sim) Totals() map[tocsin.Provider]Totals {
	all := make(map[tocsin.Provider]Totals)
	for _, v := range s.services {
		t := &v.totals
		all[v.provider] = Totals{t.connections.Load(), t.violations.Load(), t.refused.Load(), t.checked.Load(),
			t.malformed.Load(), t.stale.Load(), t.handshakes.Load(), t.goAways.Load(), t.resets.Load(), t.silent.Load()}
	}
	return all
}

func (t *totals) reset() {
	for _, n := range []*atomic.Int64{&t.connections, &t.violations, &t.refused, &t.checked, &t.malformed, &t.stale,
		&t.handshakes, &t.goAways, &t.resets, &t.silent} {
		n.Store(0)
	}
}
