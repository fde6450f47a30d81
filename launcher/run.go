package main

// How a model server starts: on a free socket path, with a umask under which the guard may connect.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	// modelUmask leaves a socket that bind() creates at 0770: the guard shares the pod's fsGroup and may connect,
	// which needs write permission; any other UID may not. The usual 0022 would shut the guard out.
	modelUmask = 0o007
	// maxSocketPathBytes is what sockaddr_un holds less its final NUL (unix(7)).
	maxSocketPathBytes = 107
)

func run(arguments []string, _ io.Writer) error {
	plan, err := parseRun(arguments)
	if err != nil {
		return err
	}
	if err := removeStaleSocket(plan.socket); err != nil {
		return err
	}
	syscall.Umask(modelUmask)
	return startModel(plan)
}

// runPlan says how the model starts; with an end it stays a child, which is killed if it takes longer than that.
type runPlan struct {
	socket  string
	end     time.Duration
	command []string
}

func parseRun(arguments []string) (runPlan, error) {
	var plan runPlan
	flags := newFlags("run")
	flags.StringVar(&plan.socket, "socket", "", "")
	flags.DurationVar(&plan.end, "end", 0, "")
	own, command, separated := cutAtSeparator(arguments)
	if err := parseFlags(flags, own); err != nil {
		return plan, err
	}
	if !separated || len(command) == 0 {
		return plan, usageError("the model's command is missing; write: run --socket PATH -- CMD [ARG…]")
	}
	if plan.end < 0 {
		return plan, usageError("--end: %v is negative", plan.end)
	}
	plan.command = command
	return plan, checkSocketPath(plan.socket)
}

// cutAtSeparator splits at the first "--", so that the model's own flags are never read as ours.
func cutAtSeparator(arguments []string) (before, after []string, found bool) {
	for index, argument := range arguments {
		if argument == "--" {
			return arguments[:index], arguments[index+1:], true
		}
	}
	return arguments, nil, false
}

func checkSocketPath(path string) error {
	if path == "" {
		return usageError("--socket is missing")
	}
	if len(path) > maxSocketPathBytes {
		return usageError("--socket: the path has %d bytes, a unix socket allows %d", len(path), maxSocketPathBytes)
	}
	return nil
}

// removeStaleSocket frees the path for bind(): a socket outlives the process that made it, and model servers do not
// unlink. Whatever else lies there, a symlink too, is somebody's and stays.
func removeStaleSocket(path string) error {
	found, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is a %s, not a socket; it stays, and the model does not start", path, describe(found.Mode()))
	}
	return os.Remove(path)
}

func describe(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "regular file"
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "symbolic link"
	default:
		return "special file (" + mode.String() + ")"
	}
}

// startModel replaces this process, so that the model is PID 1 of its container and gets the kubelet's signals itself,
// or, where its end is bounded, starts it as a child.
func startModel(plan runPlan) error {
	program, err := exec.LookPath(plan.command[0])
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return codedError{code: exitNotFound, text: fmt.Sprintf("%s: not found", plan.command[0])}
	}
	if err == nil && plan.end > 0 {
		err = superviseModel(program, plan.command, plan.end)
	} else if err == nil {
		err = syscall.Exec(program, plan.command, os.Environ())
	}
	var ended codedError
	if errors.As(err, &ended) {
		return ended
	}
	return codedError{code: exitNotExecutable, text: fmt.Sprintf("%s: %v", plan.command[0], err)}
}
