package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// keyTable holds the idempotency keys: a partition for each project and first
// byte of the key's hash, a row a key until KeyLife has passed.
const keyTable = "idempotency"

// accept runs the Accept machine for one send and answers with its row.
func (s *Server) accept(ctx context.Context, in *sendInput, send *record.Send) (*sendRow, error) {
	who := scope(ctx, tocsin.Class(send.Options.Class))
	var place store.Place
	var key string
	if in.Key != "" {
		sum := sha256.Sum256([]byte(in.Key))
		key = hex.EncodeToString(sum[:])
		place = store.Place{Table: keyTable, Partition: who.Project.String() + "/" + key[:2]}
	}
	envelope := &record.Envelope{Body: &record.Envelope_Send{Send: send}}
	arrived := time.Unix(0, send.Accepted)
	told := s.foretold(ctx, who, send)
	apart := s.setApart(who.Project, send)
	var expected *client.Forecast
	var earlier *sendRow // of an earlier request with the key
	machine := NewAccept(in.Key != "", in.hash, tocsin.SendID(send.Send))
	effect := machine.Step(arrived, Arrived{})
	for {
		var event AcceptEvent
		switch e := effect.(type) {
		case PutRow:
			event = s.putKey(ctx, place, key, e)
		case ReadRow:
			event = s.readKey(ctx, place, key)
		case FindSend:
			done := SendFound{}
			row, err := s.listed(ctx, who.Project, e.Send)
			switch {
			case err == nil:
				earlier, done.Found = row, true
			case !isNotFound(err):
				done.Failed = Unavailable
			}
			event = done
		case TakeMark:
			done := MarkTaken{}
			if !send.Scheduled { // plan takes the mark when it is due
				before, err := s.marks.take(ctx)
				if err == nil {
					send.Mark, err = s.marks.take(ctx)
				}
				send.Before, done.Failed = before, refusalOf(err)
			}
			event = done
		case AppendSend:
			s.adopt(send, e)
			home := tocsin.ShardOf(who.Project, e.Send.String(), s.Shards)
			err := store.Save(ctx, s.Store, apart)
			if err == nil {
				err = s.sends[home].append(ctx, envelope, s.Now(), who)
			}
			if err == nil && told != nil {
				expected = s.expect(ctx, who, mustRow(who, envelope, s.Shards), told)
			}
			event = AppendDone{refusalOf(err)}
		case Reply:
			if e.Refusal != 0 {
				return nil, refused(e.Refusal)
			}
			if e.Repeat {
				return earlier, nil
			}
			s.adopt(send, AppendSend{e.Send, e.Accepted})
			row := mustRow(who, envelope, s.Shards)
			row.Forecast = expected
			return row, nil
		}
		effect = machine.Step(s.Now(), event)
	}
}

// expect adds the forecast of a send, if there is one in time, to its row. The
// follower writes the row of every send, without it.
func (s *Server) expect(ctx context.Context, who record.Scope, row *sendRow, told <-chan *forecast) *client.Forecast {
	f := wait(told, s.Forecast)
	if f == nil {
		return nil
	}
	row.Forecast = &f.Forecast
	s.teacher.await(who.Project, row, f)
	if err := s.listing.put(ctx, who.Project, row); err != nil {
		s.log(ctx).Warn("send is listed without its forecast", "class", who.Class.String(), "send", row.ID.String(), "error", err)
	}
	return row.Forecast
}

// setApart takes recipients out of a record that they would fill: the rows that
// it returns, none for most sends, must be durable before the record. They are
// named by the identifier that the request was given, not by the one that it
// may adopt: whoever resumes a send finds people elsewhere perhaps, and the
// record that counts has to find the lists that it was written with.
func (s *Server) setApart(project tocsin.ProjectID, send *record.Send) (rows []store.Batch) {
	const comfortable = journal.MaxRecord / 2
	if len(send.Recipients) > 0 && send.SizeVT() > comfortable {
		expiry := time.Unix(0, send.Due).Add(time.Duration(send.Options.Ttl))
		send.Stored, rows = audience.StoreExplicit(project, send.Send, byShard(project, send.Recipients, s.Shards), s.Shards, expiry)
		send.Recipients = nil
	}
	return rows
}

// adopt gives the record the identifier and the instant under which the key
// was claimed, which a resumed request finds in the key's row.
func (s *Server) adopt(send *record.Send, as AppendSend) {
	send.Send, send.Accepted = as.Send.Bytes(), as.Accepted.UnixNano()
	if !send.Scheduled {
		send.Due = send.Accepted
	}
}

// mustRow is rowOf for a record that is not stamped yet.
func mustRow(who record.Scope, e *record.Envelope, shards int) *sendRow {
	e.Project, e.Environment, e.Class = who.Project.Bytes(), uint32(who.Environment), uint32(who.Class)
	_, row := rowOf(e, shards)
	return row
}

func (s *Server) putKey(ctx context.Context, at store.Place, key string, e PutRow) PutDone {
	ok, now, err := s.Store.PutIf(ctx, at, key, e.Old, e.Value, e.Expires)
	switch {
	case errors.Is(err, store.ErrAmbiguous), err != nil && ctx.Err() != nil:
		return PutDone{Ambiguous: true}
	case err != nil:
		return PutDone{Failed: refusalOf(err)}
	}
	return PutDone{OK: ok, Row: now.Value}
}

func (s *Server) readKey(ctx context.Context, at store.Place, key string) ReadDone {
	row, err := s.Store.GetLatest(ctx, at, key)
	if errors.Is(err, store.ErrNotFound) {
		return ReadDone{}
	}
	return ReadDone{Row: row.Value, Failed: refusalOf(err)}
}

func refusalOf(err error) Refusal {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, journal.ErrFull), errors.Is(err, store.ErrFull):
		return Full
	case errors.Is(err, journal.ErrTooLarge):
		return TooLarge
	}
	return Unavailable
}

func refused(why Refusal) error {
	switch why {
	case Mismatch:
		f := invalid("header.Idempotency-Key", "was used with another body")
		f.Code = "idempotency_mismatch"
		return f
	case Running:
		return busy(http.StatusConflict, "idempotency_running", "a request with this key is under way", time.Second)
	case Full:
		return full()
	case TooLarge:
		return journal.ErrTooLarge
	}
	return unavailable()
}
