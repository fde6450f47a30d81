package main

// How a pod ends: its guard is told to drain, and its model waits until nobody needs it any more.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"syscall"
	"time"
)

const (
	// pollInterval is how often the guard is asked; each question is one connection over loopback.
	pollInterval = 250 * time.Millisecond
	// goneAfter is how long a guard may refuse connections before it counts as gone: nothing comes through it then.
	goneAfter = 5 * time.Second
	// guardProcess is the guard's number in its own container.
	guardProcess = 1
)

type watch struct {
	target  probeTarget
	request httpRequest
	limit   time.Duration
}

func parseWatch(arguments []string, declare func(*flag.FlagSet)) (watch, error) {
	w := watch{target: probeTarget{timeout: defaultTimeout}, request: httpRequest{path: "/", host: "localhost"}}
	var tcp string
	flags := newFlags("watch")
	flags.StringVar(&tcp, "tcp", "", "")
	flags.StringVar(&w.request.path, "path", w.request.path, "")
	flags.DurationVar(&w.limit, "for", 0, "")
	if declare != nil {
		declare(flags)
	}
	if err := parseFlags(flags, arguments); err != nil {
		return w, err
	}
	if w.limit <= 0 {
		return w, usageError("--for: %v is not positive", w.limit)
	}
	if err := w.request.check(); err != nil {
		return w, err
	}
	var err error
	w.target, err = w.target.at("", tcp)
	return w, err
}

// ask is one GET: nil where the page says yes.
func (w *watch) ask() error {
	connection, err := dial(w.target)
	if err != nil {
		return err
	}
	defer connection.Close()
	return w.request.exchange(connection)
}

// until asks again and again; each is called before a question and given the last answer, and may end the wait.
func (w *watch) until(each func(last error) (isOver bool, err error)) error {
	var last error
	for end := time.Now().Add(w.limit); time.Now().Before(end); time.Sleep(pollInterval) {
		if isOver, err := each(last); isOver || err != nil {
			return err
		}
		if last = w.ask(); last == nil {
			return nil
		}
	}
	return fmt.Errorf("not within %v: %v", w.limit, last)
}

// hold is the model's preStop hook: it returns once the guard has drained, or is gone.
func hold(arguments []string, _ io.Writer) error {
	w, err := parseWatch(arguments, nil)
	if err != nil {
		return err
	}
	heard := time.Now()
	return w.until(func(last error) (bool, error) {
		if !errors.Is(last, syscall.ECONNREFUSED) {
			heard = time.Now()
		}
		return time.Since(heard) > goneAfter, nil
	})
}

// drain is the guard's preStop hook. A guard that has only just started has no ear for the signal yet, so it is told
// again until it says that it drains.
func drain(arguments []string, _ io.Writer) error {
	process := guardProcess
	w, err := parseWatch(arguments, func(flags *flag.FlagSet) { flags.IntVar(&process, "pid", process, "") })
	if err != nil {
		return err
	}
	return w.until(func(error) (bool, error) { return false, syscall.Kill(process, syscall.SIGUSR1) })
}
