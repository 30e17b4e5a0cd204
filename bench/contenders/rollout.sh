# What docker-rollout 0.12 does for a service with one container and a pre-stop hook that drains it.
set -e
old=$(docker compose ps --quiet backend)
docker compose up --detach --scale backend=2 --no-recreate backend
new=$(docker compose ps --quiet backend | grep -v "$old")
until [ "$(docker inspect --format '{{.State.Health.Status}}' "$new")" = healthy ]; do sleep 1; done
# Longer than the health check's interval, so that Traefik has left it by then.
docker exec "$old" sh -c 'touch /tmp/drain && sleep 5'
docker stop "$old"
docker rm "$old"
