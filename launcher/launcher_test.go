package main

// The tests call the program as a pod does: this test binary, started again with an environment variable, is it.

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const asProgram = "LAUNCHER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

type outcome struct {
	code           int
	stdout, stderr string
}

func launcher(t *testing.T, arguments ...string) outcome {
	t.Helper()
	program := exec.Command("/proc/self/exe", arguments...)
	program.Env = append(os.Environ(), asProgram+"=1")
	var stdout, stderr bytes.Buffer
	program.Stdout, program.Stderr = &stdout, &stderr
	err := program.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{program.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (o outcome) expect(t *testing.T, code int, stderrPart string) {
	t.Helper()
	if o.code != code || !strings.Contains(o.stderr, stderrPart) {
		t.Errorf("exit code %d, stderr %q; want %d and %q", o.code, o.stderr, code, stderrPart)
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	for name, arguments := range map[string][]string{
		"nothing":          {},
		"unknown command":  {"fly"},
		"unknown flag":     {"run", "--sockt", "/x", "--", "true"},
		"no socket":        {"run", "--", "true"},
		"no command":       {"run", "--socket", "/x", "--"},
		"no separator":     {"run", "--socket", "/x", "true"},
		"long socket":      {"run", "--socket", "/" + strings.Repeat("x", 107), "--", "true"},
		"no directory":     {"install"},
		"no probe kind":    {"probe"},
		"bad probe kind":   {"probe", "grpc"},
		"no target":        {"probe", "tcp"},
		"two targets":      {"probe", "tcp", "--socket", "/x", "--tcp", "127.0.0.1:1"},
		"no port":          {"probe", "tcp", "--tcp", "127.0.0.1"},
		"relative path":    {"probe", "http", "--socket", "/x", "--path", "health"},
		"split path":       {"probe", "http", "--socket", "/x", "--path", "/a\r\nX: y"},
		"split header":     {"probe", "http", "--socket", "/x", "--header", "A=b\r\nX: y"},
		"bad header name":  {"probe", "http", "--socket", "/x", "--header", "A b=c"},
		"header sans =":    {"probe", "http", "--socket", "/x", "--header", "A"},
		"zero timeout":     {"probe", "tcp", "--socket", "/x", "--timeout", "0s"},
		"http flag on tcp": {"probe", "tcp", "--socket", "/x", "--path", "/"},
		"version of what":  {"version", "1"},
	} {
		t.Run(name, func(t *testing.T) { launcher(t, arguments...).expect(t, exitUsage, "") })
	}
}

func TestVersionIsPrinted(t *testing.T) {
	if got := launcher(t, "version"); got.code != exitOK || got.stdout != gitVersion+"\n" {
		t.Errorf("got %+v", got)
	}
}

func TestInstallLeavesOneExecutableCopy(t *testing.T) {
	directory := t.TempDir()
	for range 2 { // a guard that is started again installs again
		launcher(t, "install", directory).expect(t, exitOK, "")
	}
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != 1 || entries[0].Name() != "launcher" {
		t.Fatalf("entries %v, error %v", entries, err)
	}
	copied, err := os.Stat(filepath.Join(directory, "launcher"))
	if err != nil || copied.Mode().Perm() != installedMode {
		t.Fatalf("mode %v, error %v", copied.Mode(), err)
	}
	original, err := os.Stat("/proc/self/exe")
	if err != nil || original.Size() != copied.Size() {
		t.Fatalf("%d bytes of %d were copied, error %v", copied.Size(), original.Size(), err)
	}
}

func TestInstallNamesAMissingDirectory(t *testing.T) {
	launcher(t, "install", "/nowhere/at/all").expect(t, exitFailed, "/nowhere/at/all")
}
