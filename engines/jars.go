package engines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Jar names one artifact of Maven Central, with what it depends on.
type Jar struct{ Group, Name, Version string }

// Fetch returns a folder with the jars, under dir. Only the first call with the
// same jars asks the network; processes that fetch at once wait for each other.
func Fetch(ctx context.Context, dir, name string, jars ...Jar) (string, error) {
	home := filepath.Join(dir, name+"-"+jars[0].Version)
	libs := filepath.Join(home, "libs")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(home, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("engines: locking %s: %w", lock.Name(), err)
	}
	pom := describe(name, jars)
	if have, err := os.ReadFile(filepath.Join(libs, "pom.xml")); err == nil && string(have) == pom {
		return libs, nil
	}
	// The description goes in last: a folder that has it is complete.
	if err := os.RemoveAll(libs); err != nil {
		return "", err
	}
	file := filepath.Join(home, "pom.xml")
	if err := os.WriteFile(file, []byte(pom), 0o644); err != nil {
		return "", err
	}
	mvn := exec.CommandContext(ctx, "mvn", "-B", "-q", "-f", file, "dependency:copy-dependencies",
		"-DoutputDirectory="+libs, "-DincludeScope=runtime")
	if out, err := mvn.CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("engines: mvn is missing. Run: sudo apt-get install -y maven openjdk-17-jdk-headless")
		}
		return "", fmt.Errorf("engines: fetching %s: %w\n%s", name, err, out)
	}
	return libs, os.Rename(file, filepath.Join(libs, "pom.xml"))
}

func describe(name string, jars []Jar) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n"+
		"<groupId>tocsin</groupId><artifactId>%s</artifactId><version>1</version><packaging>pom</packaging>\n<dependencies>\n", name)
	for _, j := range jars {
		fmt.Fprintf(&b, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n", j.Group, j.Name, j.Version)
	}
	b.WriteString("</dependencies></project>\n")
	return b.String()
}

// Folder is bin/engines of the module that the working directory lies in, which
// git ignores: where tests keep the jars.
func Folder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "bin", "engines"), nil
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return "", errors.New("engines: the working directory lies in no module")
		}
	}
}

// java is a Java 17, which both servers run on: Debian's, else that of the path.
func java() (string, error) {
	if found, _ := filepath.Glob("/usr/lib/jvm/java-17-openjdk-*/bin/java"); len(found) > 0 {
		return found[0], nil
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("engines: java is missing. Run: sudo apt-get install -y maven openjdk-17-jdk-headless")
	}
	return path, nil
}
