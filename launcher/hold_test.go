package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// guardThat answers each question with the next status, the last one for ever, and counts the questions.
func guardThat(t *testing.T, statuses ...int) (string, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/drained" && request.URL.Path != "/draining" {
			t.Errorf("asked for %s", request.URL.Path)
		}
		number := int(asked.Add(1))
		answer.WriteHeader(statuses[min(number, len(statuses))-1])
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), &asked
}

func TestHoldReturnsOnceTheGuardHasDrained(t *testing.T) {
	address, asked := guardThat(t, 503, 503, 200)
	launcher(t, "hold", "--tcp", address, "--path", "/drained", "--for", "60s").expect(t, exitOK, "")
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestHoldHasADeadline(t *testing.T) {
	address, _ := guardThat(t, 503)
	launcher(t, "hold", "--tcp", address, "--path", "/drained", "--for", "600ms").expect(t, exitFailed, "not within 600ms")
}

func TestHoldDoesNotWaitForAGuardThatIsGone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	start := time.Now()
	launcher(t, "hold", "--tcp", address, "--path", "/drained", "--for", "600s").expect(t, exitOK, "")
	if elapsed := time.Since(start); elapsed < goneAfter || elapsed > goneAfter+20*time.Second {
		t.Errorf("gone after %v", elapsed)
	}
}

func TestDrainTellsAGuardThatIsSlowOfHearingAgain(t *testing.T) {
	told := make(chan os.Signal, 16)
	signal.Notify(told, syscall.SIGUSR1)
	defer signal.Stop(told)
	address, asked := guardThat(t, 503, 503, 200)
	launcher(t, "drain", "--tcp", address, "--path", "/draining", "--for", "60s", "--pid", fmt.Sprint(os.Getpid())).expect(t, exitOK, "")
	if asked.Load() != 3 {
		t.Errorf("asked %d times", asked.Load())
	}
	select {
	case <-told:
	case <-time.After(5 * time.Second):
		t.Error("no signal came")
	}
}

func TestDrainSaysThatItsGuardIsNotThere(t *testing.T) {
	address, _ := guardThat(t, 503)
	launcher(t, "drain", "--tcp", address, "--path", "/draining", "--for", "60s", "--pid", "999999999").expect(t, exitFailed, "no such process")
}

func TestHooksWantToKnowWhomToAskAndHowLong(t *testing.T) {
	for name, arguments := range map[string][]string{
		"no address":    {"hold", "--path", "/drained", "--for", "1s"},
		"no time":       {"hold", "--tcp", "127.0.0.1:1", "--path", "/drained"},
		"negative time": {"drain", "--tcp", "127.0.0.1:1", "--for", "-1s"},
		"split path":    {"drain", "--tcp", "127.0.0.1:1", "--path", "/a b", "--for", "1s"},
		"pid for hold":  {"hold", "--tcp", "127.0.0.1:1", "--for", "1s", "--pid", "1"},
	} {
		t.Run(name, func(t *testing.T) { launcher(t, arguments...).expect(t, exitUsage, "") })
	}
}
