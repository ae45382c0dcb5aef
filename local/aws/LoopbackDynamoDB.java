import com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBRequestHandler;
import com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBServerHandler;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import javax.servlet.http.HttpServletResponse;
import javax.servlet.http.HttpServletResponseWrapper;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.HandlerWrapper;

/**
 * DynamoDB Local on the loopback address only, on a free port which it prints.
 *
 * <p>The jar's own main class listens on all addresses and cannot be told
 * otherwise; it is also the only one that sends telemetry. So this class takes
 * the request handler and puts it behind a Jetty of its own.
 *
 * <p>The argument is a folder for the tables; without one they are in memory.
 */
public final class LoopbackDynamoDB {
  public static void main(String[] args) throws Exception {
    boolean inMemory = args.length == 0;
    String folder = inMemory ? null : args[0];
    // Shared: one set of tables, whatever region and access key a client names.
    boolean shared = true;
    boolean delayStatuses = false;
    LocalDynamoDBServerHandler tables =
        new LocalDynamoDBServerHandler(
            new LocalDynamoDBRequestHandler(0, inMemory, folder, shared, delayStatuses), null);

    Server server = new Server(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    HandlerWrapper root = new WithoutEmptyChecksum();
    root.setHandler(tables);
    server.setHandler(root);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(server, tables)));
    server.start();
    System.out.println("listening on port " + ((ServerConnector) server.getConnectors()[0]).getLocalPort());
    server.join();
  }

  private static void stop(Server server, LocalDynamoDBServerHandler tables) {
    try {
      server.stop();
    } catch (Exception e) {
      System.err.println("stopping: " + e);
    } finally {
      tables.close();
    }
  }

  /**
   * Drops the checksum of 0 that DynamoDB Local gives its error answers: every
   * client would warn that it does not match.
   */
  private static final class WithoutEmptyChecksum extends HandlerWrapper {
    @Override
    public void handle(
        String target,
        Request base,
        javax.servlet.http.HttpServletRequest request,
        HttpServletResponse response)
        throws java.io.IOException, javax.servlet.ServletException {
      super.handle(
          target,
          base,
          request,
          new HttpServletResponseWrapper(response) {
            @Override
            public void setHeader(String name, String value) {
              if (!isEmptyChecksum(name, value)) super.setHeader(name, value);
            }

            @Override
            public void addHeader(String name, String value) {
              if (!isEmptyChecksum(name, value)) super.addHeader(name, value);
            }
          });
    }

    private static boolean isEmptyChecksum(String name, String value) {
      return name.equalsIgnoreCase("x-amz-crc32") && "0".equals(value);
    }
  }
}
