sluice strategies
sluice strategies --json | grep -c '"name"'
