package main

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// supervised starts a shell script under the launcher and waits for its first line.
func supervised(t *testing.T, end, script string) *exec.Cmd {
	t.Helper()
	program := exec.Command("/proc/self/exe", "run", "--socket", socketPath(t), "--end", end, "--", "sh", "-c", script)
	program.Env = append(os.Environ(), asProgram+"=1")
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("line %q, error %v", line, err)
	}
	t.Cleanup(func() { program.Process.Kill() })
	return program
}

func endOf(program *exec.Cmd) int {
	program.Wait()
	return program.ProcessState.ExitCode()
}

func TestSupervisedRunEndsAsTheModelEnds(t *testing.T) {
	path := socketPath(t)
	got := launcher(t, "run", "--socket", path, "--end", "9s", "--", "sh", "-c", "umask; exit 7")
	if got.code != 7 || got.stdout != "0007\n" || got.stderr != "" {
		t.Errorf("got %+v", got)
	}
	launcher(t, "run", "--socket", path, "--end", "9s", "--", "/no/such/model").expect(t, exitNotFound, "not found")
	launcher(t, "run", "--socket", path, "--end", "-1s", "--", "true").expect(t, exitUsage, "negative")
}

func TestSupervisedRunPassesTheEndOn(t *testing.T) {
	program := supervised(t, "600s", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")
	program.Process.Signal(syscall.SIGTERM)
	if code := endOf(program); code != 3 {
		t.Errorf("exit code %d", code)
	}
}

func TestAModelWithoutAnEarForTheEndEndsAllTheSame(t *testing.T) {
	program := supervised(t, "600s", "echo up; exec sleep 600")
	program.Process.Signal(syscall.SIGTERM)
	if code := endOf(program); code != signalled+int(syscall.SIGTERM) {
		t.Errorf("exit code %d", code)
	}
}

func TestAModelThatIgnoresItsEndIsKilled(t *testing.T) {
	start := time.Now()
	program := supervised(t, "300ms", "trap '' TERM; echo up; exec sleep 600")
	program.Process.Signal(syscall.SIGTERM)
	if code := endOf(program); code != signalled+int(syscall.SIGKILL) {
		t.Errorf("exit code %d", code)
	}
	if elapsed := time.Since(start); elapsed < 300*time.Millisecond || elapsed > 20*time.Second {
		t.Errorf("took %v", elapsed)
	}
}

