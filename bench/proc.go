package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of times in /proc/PID/stat, the same on every Linux that
// Go runs on.
const userHZ = 100

// cpuTime is the processor time that a process has used, in user and kernel.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(text)
}

// parseStat reads fields 14 (utime) and 15 (stime) of proc_pid_stat(5). Field
// 2, the name, may hold spaces and brackets itself.
func parseStat(text []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return 0, errors.New("process status has no name")
	}
	fields := strings.Fields(string(text[end+1:])) // from field 3
	if len(fields) < 13 {
		return 0, errors.New("process status is too short")
	}
	ticks := uint64(0)
	for _, field := range fields[11:13] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("process status: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / userHZ), nil
}

// resetPeak makes peakMemory start anew (proc_pid_clear_refs(5)).
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// peakMemory is the greatest resident size of a process, in bytes.
func peakMemory(pid int) (uint64, error) { return statusBytes(pid, "VmHWM") }

// residentMemory is the resident size of a process, in bytes.
func residentMemory(pid int) (uint64, error) { return statusBytes(pid, "VmRSS") }

// statusBytes is a size in /proc/PID/status, which is given in KiB.
func statusBytes(pid int, name string) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	number, _, _ := strings.Cut(procField(string(text), name), " ")
	kilobytes, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("process status: %w", err)
	}
	return kilobytes << 10, nil
}

// Machine is where the figures were taken.
type Machine struct {
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	Memory     string    `json:"memory"`
	Kernel     string    `json:"kernel"`
	Go         string    `json:"go"`
	GOMAXPROCS int       `json:"gomaxprocs"`
	Disk       string    `json:"disk"`   // file system of the node's data
	Commit     string    `json:"commit"` // of the working folder; "-dirty" when files other than the documents were changed
	At         time.Time `json:"at"`
}

// thisMachine describes it, with the file system of a folder.
func thisMachine(folder string) Machine {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	meminfo, _ := os.ReadFile("/proc/meminfo")
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	kernel, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
	commit, err := exec.Command("git", "describe", "--always", "--exclude", "*").Output()
	if err != nil {
		commit = []byte("unknown")
	} else if exec.Command("git", "diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)docs").Run() != nil { // it writes there itself
		commit = append(bytes.TrimSpace(commit), "-dirty"...)
	}
	return Machine{
		CPU:        procField(string(cpuinfo), "model name"),
		Cores:      runtime.NumCPU(),
		Memory:     procField(string(meminfo), "MemTotal"),
		Kernel:     "Linux " + kernel,
		Go:         runtime.Version(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		Disk:       fileSystem(string(mounts), folder),
		Commit:     strings.TrimSpace(string(commit)),
		At:         time.Now().UTC().Truncate(time.Second),
	}
}

// procField is the first value of a name in a file of "name : value" lines.
func procField(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// fileSystem is the type of the mount that holds a folder (proc_pid_mounts(5):
// device, mount point, type). A later mount hides an earlier one.
func fileSystem(mounts, folder string) string {
	kind, longest := "unknown", 0
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		point := strings.TrimSuffix(fields[1], "/")
		if strings.HasPrefix(folder+"/", point+"/") && len(point) >= longest {
			kind, longest = fields[2], len(point)
		}
	}
	return kind
}
