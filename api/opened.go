package api

import (
	"context"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// knownSends remembers which sends a project has, of those that events named.
type knownSends struct {
	mu   sync.Mutex
	have map[sendOf]bool
}

type sendOf struct {
	project tocsin.ProjectID
	send    tocsin.SendID
}

// mostKnownSends bounds what is remembered: about a megabyte.
const mostKnownSends = 10_000

func (k *knownSends) get(key sendOf) (has, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	has, known = k.have[key]
	return has, known
}

func (k *knownSends) put(key sendOf, has bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.have) >= mostKnownSends || k.have == nil {
		k.have = make(map[sendOf]bool)
	}
	k.have[key] = has
}

// aboutSend takes the send out of an event when the project has none such: the
// event counts, and nobody has opened anything. Anybody may bring identifiers, and
// each would take room.
func (s *Server) aboutSend(ctx context.Context, project tocsin.ProjectID, e *record.Event) error {
	if len(e.Send) == 0 {
		return nil
	}
	key := sendOf{project, tocsin.SendID(e.Send)}
	has, known := s.known.get(key)
	if !known {
		const late = time.Minute // that a send is listed after it was accepted
		look := s.listing.get
		if made := key.send.Time(); s.Now().Sub(made).Abs() < late {
			look = s.listed
		}
		_, err := look(ctx, project, key.send)
		if err != nil && !isNotFound(err) {
			return err
		}
		has = err == nil
		s.known.put(key, has)
	}
	if !has {
		e.Send = nil
	}
	return nil
}
