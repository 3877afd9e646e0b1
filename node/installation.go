package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/store"
)

// installation is what a data folder was set up with, and keeps for good.
type installation struct {
	Shards int `json:"shards"`
}

var installationPlace = store.Place{Table: "node", Partition: "installation"}

const installationKey = "settings"

// settle writes the settings at the first start, and refuses others later.
func settle(ctx context.Context, s store.Store, want installation) error {
	value, err := json.Marshal(want)
	if err != nil {
		return err
	}
	made, row, err := s.PutIf(ctx, installationPlace, installationKey, nil, value, time.Time{})
	if errors.Is(err, store.ErrAmbiguous) {
		row, err = s.GetLatest(ctx, installationPlace, installationKey)
	}
	if err != nil {
		return fmt.Errorf("node: settings of the data folder: %w", err)
	}
	if made || bytes.Equal(row.Value, value) {
		return nil
	}
	var have installation
	if err := json.Unmarshal(row.Value, &have); err != nil {
		return fmt.Errorf("node: settings of the data folder are damaged: %w", err)
	}
	return fmt.Errorf("node: the data folder was set up with %d shards and cannot be used with %d: start with --shards %d",
		have.Shards, want.Shards, have.Shards)
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
