package main

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const stat = "4242 (a (b) c) S 1 4242 4242 0 -1 4194560 900 0 0 0 1234 66 0 0 20 0 9 0 8812 2702 1180 18446744073709551615"
	got, err := parseStat([]byte(stat))
	if want := 13 * time.Second; err != nil || got != want {
		t.Errorf("processor time is %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1 2", "1 (x) S 1 2 3 4 5 6 7 8 9 10 a 6 0"} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q reads as %v", bad, got)
		}
	}
}

func TestCPUTimeOfThisProcessGrows(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begin, sum := time.Now(), 0; ; sum++ {
		now, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now > before {
			return
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("after %d looks it is still %v", sum, now)
		}
	}
}

func TestProcField(t *testing.T) {
	const text = "processor\t: 0\nmodel name\t: First: a\nmodel name\t: Second\n"
	if got := procField(text, "model name"); got != "First: a" {
		t.Errorf("got %q", got)
	}
	if got := procField(text, "name"); got != "unknown" {
		t.Errorf("got %q", got)
	}
}

func TestFileSystemIsTheInnermostMount(t *testing.T) {
	const mounts = "/dev/a / ext4 rw 0 0\nnone /tmp tmpfs rw 0 0\n/dev/b /tmp/data xfs rw 0 0\n"
	for folder, want := range map[string]string{"/var/tmp": "ext4", "/tmp": "tmpfs", "/tmp/x": "tmpfs", "/tmp/data/y": "xfs", "/tmp/database": "tmpfs"} {
		if got := fileSystem(mounts, folder); got != want {
			t.Errorf("%s is on %s, want %s", folder, got, want)
		}
	}
}
