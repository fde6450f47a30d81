module bartizan.dev/localcluster/pause

go 1.25.0
