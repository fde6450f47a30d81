module bartizan.dev/launcher

go 1.22
