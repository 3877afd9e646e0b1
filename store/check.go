package store

import (
	"errors"
	"fmt"
)

// Every engine calls these before it does anything.

// CheckPlace refuses a place that cannot exist.
func CheckPlace(at Place) error {
	if at.Table == "" || len(at.Table) > MaxTable {
		return fmt.Errorf("store: table %.60q is not 1 to %d bytes long", at.Table, MaxTable)
	}
	for _, c := range []byte(at.Table) {
		if (c < 'a' || c > 'z') && c != '_' {
			return fmt.Errorf("store: table %q has other characters than a-z and _", at.Table)
		}
	}
	if len(at.Partition) > MaxPartition {
		return fmt.Errorf("%w: partition of table %s has %d bytes", ErrTooLarge, at.Table, len(at.Partition))
	}
	return nil
}

// CheckRow refuses a key or a value that is over the limit.
func CheckRow(at Place, key string, value []byte) error {
	if err := CheckPlace(at); err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("store: empty key in table %s", at.Table)
	}
	if len(key) > MaxKey || len(value) > MaxValue {
		return fmt.Errorf("%w: key of %d and value of %d bytes in table %s", ErrTooLarge, len(key), len(value), at.Table)
	}
	return nil
}

// CheckBatch refuses a batch that breaks a rule of Write.
func CheckBatch(at Place, batch []Write) error {
	if err := CheckPlace(at); err != nil {
		return err
	}
	if len(batch) > MaxWrites {
		return fmt.Errorf("%w: batch of %d rows in table %s", ErrTooLarge, len(batch), at.Table)
	}
	total := 0
	for _, w := range batch {
		if err := CheckRow(at, w.Key, w.Value); err != nil {
			return err
		}
		if w.Version == 0 {
			return errors.New("store: a written row has version 0, which is kept for conditional puts")
		}
		total += len(w.Key) + len(w.Value)
	}
	if total > MaxBatch {
		return fmt.Errorf("%w: batch of %d bytes in table %s", ErrTooLarge, total, at.Table)
	}
	return nil
}

// CheckScan refuses a scan without a bound.
func CheckScan(at Place, limit int) error {
	if limit < 1 || limit > MaxScan {
		return fmt.Errorf("store: a scan of table %s asks for %d rows, not 1 to %d", at.Table, limit, MaxScan)
	}
	return CheckPlace(at)
}
