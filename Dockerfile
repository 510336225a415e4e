# The program and nothing else: one static binary, which brings its own root certificates.
#
#   make image                                    # builds bin/switchback and this
#   docker run --rm -v "$PWD:/project" switchback check
FROM scratch
COPY bin/switchback /switchback
WORKDIR /project
ENV HOME=/tmp TMPDIR=/tmp
VOLUME /tmp
ENTRYPOINT ["/switchback"]
