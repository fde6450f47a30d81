package main

// How a model's end is bounded: the kernel spares PID 1 every signal that it has no handler for, so that a model which
// is PID 1 and deaf to SIGTERM keeps its pod for the whole grace period. As a child it is like any other process.

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// forwarded are the signals that somebody may send a container's first process and mean the program in it.
var forwarded = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// signalled is added to a signal's number where it ended the model, as shells do.
const signalled = 128

// superviseModel starts the model, passes signals on, reaps what the container leaves behind, and ends as the model
// ended; a model that has not within `end` of SIGTERM is killed.
func superviseModel(program string, command []string, end time.Duration) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, append(forwarded, syscall.SIGCHLD)...)
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	model, err := os.StartProcess(program, command, &os.ProcAttr{Env: os.Environ(), Files: files})
	if err != nil {
		return err
	}
	var kill <-chan time.Time
	for {
		if code, hasEnded := reap(model.Pid); hasEnded {
			return codedError{code: code}
		}
		select {
		case sent := <-signals:
			if sent == syscall.SIGTERM && kill == nil {
				kill = time.After(end)
			}
			if sent != syscall.SIGCHLD {
				model.Signal(sent)
			}
		case <-kill:
			model.Kill()
		}
	}
}

// reap takes every child that has ended, orphans of the container too; the code is the model's.
func reap(model int) (code int, hasEnded bool) {
	for {
		var status syscall.WaitStatus
		child, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || child <= 0 {
			return code, hasEnded
		}
		if child != model {
			continue
		}
		code, hasEnded = status.ExitStatus(), true
		if status.Signaled() {
			code = signalled + int(status.Signal())
		}
	}
}
