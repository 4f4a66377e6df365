// The first process of every pod: holds the pod's namespaces, reaps what loses its parent, and ends when it is told to.
// Does what build/pause/linux/pause.c of Kubernetes does; in Go, because a site's bundle is built with nothing but Go.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Set when it is built.
var version = "unknown"

func main() {
	for _, argument := range os.Args[1:] {
		if argument == "-v" || argument == "-V" {
			fmt.Println("pause (Go)", version)
			return
		}
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "Warning: pause should be the first process")
	}
	// Room for one of each: signals that arrive together are not lost, and one round reaps every child.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			fmt.Fprintln(os.Stderr, "Shutting down, got signal:", received)
			return
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err != nil || pid <= 0 {
				break
			}
		}
	}
}
