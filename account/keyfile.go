package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

// The key file holds one line: this word and 32 random bytes in base64.
const keyFileWord = "tocsin-key-1 "

const keyMark = "key_file"

// markRow remembers which key the store's credentials are sealed under.
type markRow struct {
	V  int    `json:"v"`
	ID string `json:"id"`
}

// keyID names a key without telling anything of it.
func keyID(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("tocsin key id"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// openKeyFile reads the key, or makes one for a store that has none. The file
// is durable before the store names it, so that no crash leaves a store whose
// key nobody has.
func openKeyFile(ctx context.Context, st store.Store, path string) ([]byte, error) {
	var mark markRow
	_, err := read(ctx, st, platform, keyMark, &mark)
	marked := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	key, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if marked {
			return nil, fmt.Errorf("%w %s is missing: the credentials of this store are sealed under key %s; put its file back", ErrKeyFile, path, mark.ID)
		}
		if err := makeKeyFile(path); err != nil {
			return nil, err
		}
		key, err = readKeyFile(path)
	}
	if err != nil {
		return nil, err
	}
	if !marked {
		err := put(ctx, st, platform, keyMark, nil, markRow{format, keyID(key)}, time.Time{})
		if err != nil && !errors.Is(err, ErrConflict) {
			return nil, err
		}
		// Another process may have been faster, with a key of its own.
		if _, err := read(ctx, st, platform, keyMark, &mark); err != nil {
			return nil, err
		}
	}
	if mark.ID != keyID(key) {
		return nil, fmt.Errorf("%w %s holds key %s, but the credentials of this store are sealed under key %s", ErrKeyFile, path, keyID(key), mark.ID)
	}
	return key, nil
}

func readKeyFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w %s has mode %v: it must be a file that its owner alone can read; run chmod 600 %s", ErrKeyFile, path, info.Mode(), path)
	}
	line := make([]byte, 100)
	n, _ := file.Read(line)
	word, isKey := strings.CutPrefix(string(line[:n]), keyFileWord)
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(word))
	if !isKey || err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%w %s does not hold a key; put back the one that was there", ErrKeyFile, path)
	}
	return key, nil
}

// makeKeyFile writes a new key under a name of its own and links it to path,
// which never replaces a file and never shows half of one.
func makeKeyFile(path string) error {
	folder := filepath.Dir(path)
	file, err := os.CreateTemp(folder, ".key-") // mode 0600
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer os.Remove(file.Name())
	key := make([]byte, 32)
	rand.Read(key) // never fails
	_, err = file.WriteString(keyFileWord + base64.StdEncoding.EncodeToString(key) + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Link(file.Name(), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	names, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if err := errors.Join(names.Sync(), names.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return nil
}
