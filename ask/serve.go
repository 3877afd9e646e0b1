package ask

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Serve answers other processes about what lives here, until ctx ends; questions
// under way are told so and end. It is to have a listener of its own: whoever shows
// no certificate of a process gets no answer, whatever else a request says.
func Serve(ctx context.Context, listener net.Listener, c *Certificates, local Local, log *slog.Logger) error {
	questions, cut := context.WithCancel(context.Background())
	defer cut()
	s := &http.Server{
		Handler: answering{local, log, make(chan struct{}, mostAtOnce)}, TLSConfig: c.server(),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: mostAtOnce},
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return questions },
	}
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(stopped)
		cut()
		limit, done := context.WithTimeout(context.Background(), reach)
		defer done()
		if s.Shutdown(limit) != nil {
			s.Close()
		}
	})()
	err := s.ServeTLS(listener, "", "")
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	return err
}

// answering is the handler; its places are for questions under way.
type answering struct {
	local  Local
	log    *slog.Logger
	places chan struct{}
}

func (a answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 { // the listener has seen to it
		http.Error(w, "no certificate", http.StatusForbidden)
		return
	}
	select {
	case a.places <- struct{}{}:
		defer func() { <-a.places }()
	default:
		http.Error(w, "its process has too many questions", http.StatusServiceUnavailable)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathPrefix+"audience/{shard}", func(w http.ResponseWriter, r *http.Request) {
		if people, here := a.local.Audience(shardOf(r)); here {
			a.answer(w, r, func(ctx context.Context, q *question, _ func([]Outcome) error) (any, error) {
				return answerAudience(ctx, people, q)
			})
			return
		}
		http.Error(w, "it does not live where it did", http.StatusMisdirectedRequest)
	})
	mux.HandleFunc("POST "+pathPrefix+"receipts/{shard}", func(w http.ResponseWriter, r *http.Request) {
		if receipts, here := a.local.Receipts(shardOf(r)); here {
			a.answer(w, r, func(ctx context.Context, q *question, some func([]Outcome) error) (any, error) {
				return answerReceipts(ctx, receipts, q, some)
			})
			return
		}
		http.Error(w, "it does not live where it did", http.StatusMisdirectedRequest)
	})
	mux.ServeHTTP(w, r)
}

// shardOf is none that anybody has when the path names none.
func shardOf(r *http.Request) tocsin.Shard {
	n, err := strconv.ParseUint(r.PathValue("shard"), 10, 16)
	if err != nil || n >= tocsin.MaxShards {
		return tocsin.MaxShards
	}
	return tocsin.Shard(n)
}

// answer reads a question, has it answered until its asker waits no more, and
// writes what it comes to.
func (a answering) answer(w http.ResponseWriter, r *http.Request, how func(context.Context, *question, func([]Outcome) error) (any, error)) {
	milliseconds, err := strconv.ParseInt(r.Header.Get(timeoutHeader), 10, 64)
	if err != nil || milliseconds < 0 || milliseconds > mostTime.Milliseconds() {
		milliseconds = mostTime.Milliseconds()
	}
	left := time.Duration(milliseconds) * time.Millisecond
	ctx, stop := context.WithTimeout(r.Context(), left)
	defer stop()
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(left))
	control.SetWriteDeadline(time.Now().Add(left))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostQuestion))
	if err != nil {
		http.Error(w, "the question is too large, or was not told to its end", http.StatusRequestEntityTooLarge)
		return
	}
	q := new(question)
	if err := json.Unmarshal(body, q); err != nil {
		http.Error(w, "the question cannot be read", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	begun := false
	found, err := how(ctx, q, func(some []Outcome) error {
		begun = true
		if err := out.Encode(reply{Some: some}); err != nil {
			return err
		}
		return control.Flush()
	})
	last := reply{}
	if err == nil {
		last.Answer, err = json.Marshal(found)
	}
	if err != nil {
		var left *Unanswered
		gone := errors.As(err, &left)
		if gone && !begun && ctx.Err() == nil {
			http.Error(w, left.State, http.StatusMisdirectedRequest)
			return
		}
		if gone || ctx.Err() != nil {
			panic(http.ErrAbortHandler) // nobody waits any more, or the shard left: it breaks off
		}
		a.log.Warn("a question of another process was not answered", "kind", q.Kind, "error", err)
		last = reply{Failed: err.Error()}
	}
	if out.Encode(last) != nil {
		panic(http.ErrAbortHandler)
	}
}
