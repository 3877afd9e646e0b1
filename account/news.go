package account

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/store"
)

// newsPlace has a row for each credential that was set of late, written before the
// credential is: who looks never misses one that is in force.
var newsPlace = store.Place{Table: "account_news", Partition: "credentials"}

// newsLife is how long a replacement is news: longer than any process is paused and
// lives on.
const newsLife = time.Hour

type newsRow struct {
	V        int              `json:"v"`
	Project  tocsin.ProjectID `json:"project"`
	Provider tocsin.Provider  `json:"provider"`
	Version  uint64           `json:"version"` // of the credential
}

// announce writes that a credential is about to be set.
func (s *Service) announce(ctx context.Context, c provider.Credential) error {
	value, err := json.Marshal(newsRow{format, c.Project, c.Provider, c.Version})
	if err != nil {
		return err
	}
	now := instant()
	return s.store.Write(ctx, newsPlace, store.Write{Key: c.ID.String(), Value: value, Version: c.Version, Expires: now.Add(newsLife)})
}

// Watch tells whoever asked with OnReplace of credentials that other processes set,
// at most Fresh after they were, until ctx ends, which is no error.
func (s *Service) Watch(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(Fresh)
	defer tick.Stop()
	for {
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			log.Warn("credentials that were replaced elsewhere could not be read, repeated", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look tells of what is in force and was not told. What is announced and not set
// is looked at again.
func (s *Service) look(ctx context.Context) error {
	rows, err := store.All(ctx, s.store, newsPlace, "", "")
	if err != nil {
		return err
	}
	var failed error
	for _, r := range rows {
		var news newsRow
		if err := decode(newsPlace, r, &news); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		failed = errors.Join(failed, s.hear(ctx, r.Key, news))
	}
	return failed
}

func (s *Service) hear(ctx context.Context, id string, news newsRow) error {
	s.setting.Lock()
	defer s.setting.Unlock()
	if s.told[id] >= news.Version {
		return nil
	}
	c, err := s.Credential(ctx, news.Project, news.Provider)
	if errors.Is(err, ErrNotFound) || err == nil && c.Version < news.Version {
		return nil // not set yet, or never
	}
	if err != nil {
		return err
	}
	s.tell(c)
	return nil
}

// tell is called with setting held.
func (s *Service) tell(c provider.Credential) {
	if s.told == nil {
		s.told = make(map[string]uint64)
	}
	s.told[c.ID.String()] = c.Version
	s.sets.Add(1)
	s.ids.forget(c.Project)
	s.asking.Forget(c.Project.String())
	for _, hear := range s.onReplace {
		hear(c)
	}
}
