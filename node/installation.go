package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// installation is what a data folder, or the tables of a cluster, were set up with.
type installation struct {
	Shards int  `json:"shards"`           // for good
	Single bool `json:"single,omitempty"` // one replica of everything, on one machine
	Level  int  `json:"level,omitempty"`  // the format level that records may have; without it, 1
}

// readInstallation reads it as it stands in the store. What a later build made of
// it is refused by name: such a build may have given every other setting a new meaning.
func readInstallation(value []byte) (have installation, err error) {
	if err := json.Unmarshal(value, &have); err != nil {
		return have, fmt.Errorf("node: what the installation is cannot be read: %w", err)
	}
	switch {
	case have.Level > record.Level:
		return have, fmt.Errorf("node: the installation is at format level %d, and this build reads up to %d: start the build that raised it, or a later one", have.Level, record.Level)
	case have.Level < 0:
		return have, fmt.Errorf("node: what the installation is cannot be read: format level %d", have.Level)
	case have.Shards < 1 || have.Shards > tocsin.MaxShards:
		return have, fmt.Errorf("node: what the installation is cannot be read: %d shards", have.Shards)
	}
	return have, nil
}

var installationPlace = store.Place{Table: "node", Partition: "installation"}

const installationKey = "settings"

// settle writes the settings at the first start, and refuses others later. A
// first start finds no log, and every other one finds the folder of the logs.
func settle(ctx context.Context, s store.Store, j journal.Journal, logs bool, want installation) error {
	value, err := json.Marshal(want)
	if err != nil {
		return err
	}
	switch _, err := s.GetLatest(ctx, installationPlace, installationKey); {
	case err == nil && !logs:
		return fmt.Errorf("node: the store was written, but there is no log: %w", errApart)
	case errors.Is(err, store.ErrNotFound):
		for _, topic := range journal.Topics {
			for shard := range want.Shards {
				p := journal.Partition{Topic: topic, Shard: tocsin.Shard(shard)}
				if found, _, err := j.Read(ctx, p, 0, 1); len(found) > 0 || errors.Is(err, journal.ErrTrimmed) {
					return fmt.Errorf("node: the log %s was written, but the store is empty: %w", p, errApart)
				}
			}
		}
	}
	made, row, err := s.PutIf(ctx, installationPlace, installationKey, nil, value, time.Time{})
	if errors.Is(err, store.ErrAmbiguous) {
		row, err = s.GetLatest(ctx, installationPlace, installationKey)
	}
	if err != nil {
		return fmt.Errorf("node: settings of the data folder: %w", err)
	}
	if made {
		return nil
	}
	have, err := readInstallation(row.Value)
	if err == nil && have.Shards != want.Shards {
		err = fmt.Errorf("node: the data folder was set up with %d shards and cannot be used with %d: start with --shards %d",
			have.Shards, want.Shards, have.Shards)
	}
	return err
}

var errApart = errors.New("the parts of the data folder are not of one moment; put a backup of the whole folder back")

// reaches refuses a log that ends before what was read of it: its folder was
// lost, or is older than the others. What would be appended there now, nobody
// would read.
func reaches(ctx context.Context, j journal.Journal, p journal.Partition, next uint64) error {
	end, err := j.End(ctx, p)
	if err == nil && uint64(end) < next {
		err = fmt.Errorf("node: the log %s ends at %d, but was read up to %d: %w", p, end, next, errApart)
	}
	return err
}

// firstKey makes the first admin key of a new installation, into a file that
// only its owner can read.
func firstKey(ctx context.Context, accounts *account.Service, file string) (made bool, err error) {
	wrote := false
	made, err = accounts.FirstKey(ctx, func(key account.Secret) error {
		wrote = true
		return writeSecret(file, key.Reveal())
	})
	if err != nil {
		return false, fmt.Errorf("node: first admin key: %w", err)
	}
	if wrote && !made {
		err = os.Remove(file)
	}
	return made, err
}

// writeSecret writes a file of mode 0600, durably.
func writeSecret(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	if _, err := f.WriteString(text + "\n"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
