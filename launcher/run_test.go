package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// socketPath is short, whatever the test's name: a unix socket allows 107 bytes.
func socketPath(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "launcher")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	return filepath.Join(directory, "model.sock")
}

// leaveSocket makes what a killed model server leaves behind.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("no stale socket to test with: %v", err)
	}
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestRunStartsTheCommandWithoutASocketInTheWay(t *testing.T) {
	got := launcher(t, "run", "--socket", socketPath(t), "--", "sh", "-c", "echo started; umask; exit 7")
	if got.code != 7 || got.stdout != "started\n0007\n" {
		t.Errorf("got %+v", got)
	}
}

func TestRunRemovesAStaleSocket(t *testing.T) {
	path := socketPath(t)
	leaveSocket(t, path)
	launcher(t, "run", "--socket", path, "--", "true").expect(t, exitOK, "")
	if isThere(path) {
		t.Error("the stale socket is still there")
	}
}

func TestRunRefusesWhatIsNotASocket(t *testing.T) {
	for kind, lay := range map[string]func(path string) error{
		"regular file": func(path string) error { return os.WriteFile(path, []byte("weights"), 0o600) },
		"directory":    func(path string) error { return os.Mkdir(path, 0o700) },
		"symbolic link": func(path string) error {
			leaveSocket(t, path+".real")
			return os.Symlink(path+".real", path)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			path := socketPath(t)
			if err := lay(path); err != nil {
				t.Fatal(err)
			}
			got := launcher(t, "run", "--socket", path, "--", "echo", "started")
			got.expect(t, exitFailed, "is a "+kind)
			if got.stdout != "" || !isThere(path) {
				t.Errorf("stdout %q, still there: %v", got.stdout, isThere(path))
			}
		})
	}
}

func TestRunBecomesTheModelAndLeavesNoParent(t *testing.T) {
	got := launcher(t, "run", "--socket", socketPath(t), "--", "sh", "-c", `readlink /proc/$$/exe; cat /proc/$PPID/cmdline`)
	if got.code != exitOK || strings.Contains(got.stdout, "--socket") {
		t.Errorf("the launcher stayed between: %+v", got)
	}
}

func TestRunPassesTheModelsOwnFlagsOn(t *testing.T) {
	got := launcher(t, "run", "--socket", socketPath(t), "--", "echo", "--socket", "theirs", "--", "-x")
	if got.stdout != "--socket theirs -- -x\n" {
		t.Errorf("got %+v", got)
	}
}

func TestRunExitsAsAShellWouldWhenTheCommandCannotStart(t *testing.T) {
	plain := socketPath(t) + ".txt"
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	launcher(t, "run", "--socket", socketPath(t), "--", "no-such-model").expect(t, exitNotFound, "no-such-model")
	launcher(t, "run", "--socket", socketPath(t), "--", "/no/such/model").expect(t, exitNotFound, "/no/such/model")
	launcher(t, "run", "--socket", socketPath(t), "--", plain).expect(t, exitNotExecutable, plain)
}
